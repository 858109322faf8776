"""`assay submit --help`."""

SUMMARY = "Run a training on a Ray cluster, as a job."
HELP = f"""{SUMMARY}

usage: assay submit [key=value …] [--address URL] [--detach] [--config-dir FOLDER]
       assay submit --status ID | --logs ID | --stop ID [--address URL]

  --address URL        the cluster's dashboard; else RAY_API_SERVER_ADDRESS, RAY_ADDRESS, port 8265 here
  --detach             print the job's id and leave; otherwise its log is followed, and its exit code is ours
  --config-dir FOLDER  a folder with groups of your own, e.g. FOLDER/experiment/mine.yaml
  --status ID          print where the job stands
  --logs ID            print the job's log until it is over; its exit code is ours
  --stop ID            stop the job, with time to write a checkpoint

The keys are those of `assay train --help`. The working tree travels with the job, except what .gitignore or
.rayignore names and what looks like a secret (.env, *.pem, credentials*, a private key and the like), which is named.
A relative path of output, data.root, model.path or resume that does not travel becomes absolute, from the current
folder: on a cluster that shares no files with this machine, give absolute paths of the cluster.
WANDB_API_KEY, HF_TOKEN and W&B's other variables travel in the job's environment.

Examples
  assay submit experiment=demo --address http://<head>:8265
  assay submit experiment=mmr_ad model=qwen2_5_vl_7b cluster=8xh100 data.root=/shared/photos output=/shared/runs/1
  assay submit --stop raysubmit_1234"""
