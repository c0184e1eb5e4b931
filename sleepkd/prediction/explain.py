"""What a recording was taken for, in lines of text: columns, units, cadence, gaps, date (`predict --explain`)."""

from sleepkd.cohorts.beats.beat_report import start_text
from sleepkd.cohorts.recording import Recording
from sleepkd.data.heart_rate_input import input_text


def explained(recording: Recording) -> list[str]:
    """The lines about a recording: of a table of heartbeats, each column; of other files, signals, length and start."""
    if recording.beat_report is not None:
        return recording.beat_report.lines()
    lines = [
        f"signal: {signal.derivation}, taken for {name}, {signal.rate_hz:g} Hz, {signal.unit or 'without a unit'}"
        for name, signal in recording.signals.items()
    ]
    if recording.beats is not None:
        lines += [f"input: {input_text(recording.cadence_s)}", f"beats: {len(recording.beats)}"]
    lines += [
        f"length: {recording.seconds:.6g} s ({recording.seconds / 3600:.2f} h)",
        f"gaps: {len(recording.gaps) or 'none'}",
        f"start: {start_text(recording.start)}",
    ]
    return lines + [f"note: {remark}" for remark in recording.remarks]
