#!/bin/sh
# The body of a Slurm job: sbatch [options] batch.sh PYTHON JOB
# Runs the ranks on all its nodes. When USR1 says that the time is nearly up, the ranks end their step and save; the job
# then queues itself again. A job that the scheduler took away and started again goes on the same way.
set -u
python=$1 job=$2

"$python" -m yulan.train.launch.restart "$job" || exit

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_ADDR=$(scontrol show node "$first" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p')
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export MASTER_ADDR MASTER_PORT

srun --kill-on-bad-exit=1 "$python" -m yulan.train.launch.rank "$job" &
ranks=$!
again=
# To the ranks themselves, the job's only step: a signalled srun would kill them.
trap 'again=yes; scancel --signal=TERM "$SLURM_JOB_ID.0"' USR1
# The scheduler tells the ranks too; they are waited for.
trap : TERM
wait "$ranks"
code=$?
# A trap ends `wait` early; the ranks still have their step to end.
while kill -0 "$ranks" 2>/dev/null; do
    wait "$ranks"
    code=$?
done
if [ -n "$again" ] && [ "$code" -eq 0 ]; then
    scontrol requeue "$SLURM_JOB_ID"
    # The scheduler ends this script.
    sleep 60
fi
exit "$code"
