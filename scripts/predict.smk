# Stage many recordings in shares with Snakemake, on one machine or through any of its executors:
#
#   snakemake --snakefile scripts/predict.smk --cores 16 --config manifest=nights.csv out=staged shares=50
#   snakemake --snakefile scripts/predict.smk --executor slurm --jobs 50 --config manifest=nights.csv out=staged shares=50

SHARES = int(config.get("shares", 10))
OUT = config["out"]


rule merged:
    input:
        expand(OUT + "/done-{share}-of-{of}", share=range(1, SHARES + 1), of=SHARES),
    output:
        OUT + "/merged/done",
    shell:
        # Exit code 1: some recordings failed, and have their rows.
        "sleepkd merge {OUT} --out {OUT}/merged || [ $? -eq 1 ] && touch {output}"


rule share:
    input:
        config["manifest"],
    output:
        touch(OUT + "/done-{share}-of-{of}"),
    threads: 8
    resources:
        mem_mb=12000,
        runtime=240,
    shell:
        "OMP_NUM_THREADS=1 sleepkd predict --manifest {input} --out {OUT}"
        " --shard {wildcards.share}/{wildcards.of} --jobs {threads} || [ $? -eq 1 ]"
