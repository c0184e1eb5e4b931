/** A file that cannot be read or staged, with the reason in words for its owner. */
export class UserError extends Error {}
