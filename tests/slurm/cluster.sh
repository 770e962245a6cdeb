#!/usr/bin/env bash
# A real Slurm on this one machine, for the tests: a controller and some nodes, from Debian's packages.
#
#   cluster.sh start FOLDER [NODES]    install if need be, start, wait until every node is idle
#   cluster.sh lose FOLDER NODE        kill a node's daemon and all that runs there
#   cluster.sh cut FOLDER NODE         kill a node's daemon only: its jobs run on, out of reach
#   cluster.sh node FOLDER NODE        start a node again
#   cluster.sh controller FOLDER       start the controller again
#   cluster.sh stop FOLDER             stop it all
#
# All state is in FOLDER, all sockets are on the loopback.  No systemd, no cgroups, no accounting.
# Exit code 77 and one sentence where it cannot start: no root, no packages, another Slurm.
set -euo pipefail

LINK=/etc/slurm/slurm.conf
HOST=$(hostname -s)
MARK="# of the hsc_pipeline test cluster"

cannot() {
    echo "Slurm cannot start here: $*" >&2
    exit 77
}

within() { # seconds command...
    local tries=$(($1 * 5))
    shift
    until "$@" >/dev/null 2>&1; do
        ((tries-- > 0)) || return 1
        sleep 0.2
    done
}

install() {
    command -v slurmctld slurmd munged >/dev/null && return
    command -v apt-get >/dev/null || cannot "slurmctld is not installed, and there is no apt-get"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        slurm-wlm munge; } >"$BASE/log/apt.log" 2>&1 ||
        cannot "apt-get install slurm-wlm munge failed: $(tail -n 1 "$BASE/log/apt.log")"
}

# The memory limit is by sampling; a finished job must stay known to squeue for the status checks;
# a short time-out, or the loss of a node takes five minutes to be seen.  A requeued job waits for as
# long as a credential lives, two minutes by default.
configure() {
    cat <<CONF
ClusterName=hsc
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=26817
AuthType=auth/munge
AuthInfo=socket=$BASE/munge/socket,cred_expire=20
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$BASE/state
SlurmdSpoolDir=$BASE/spool/%n
SlurmctldPidFile=$BASE/run/slurmctld.pid
SlurmdPidFile=$BASE/run/slurmd.%n.pid
SlurmctldLogFile=$BASE/log/slurmctld.log
SlurmdLogFile=$BASE/log/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$BASE/log/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
MinJobAge=3600
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=3
PartitionName=short Nodes=ALL Default=YES MaxTime=1-00:00:00 State=UP
CONF
    for i in $(seq 1 "$1"); do
        echo "NodeName=n$i NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((27000 + i)) CPUs=2 RealMemory=16000"
    done
}

# Whether the file is not there, or of a test cluster that was killed.
leftover() {
    [ -e $LINK ] || return 0
    grep -q '^ClusterName=hsc$' $LINK || return 1
    ! timeout 10 scontrol ping >/dev/null 2>&1
}

ready() { [ "$(sinfo -h -N -o %T | grep -cE '^(idle|mixed|allocated)$')" -ge "$1" ]; }

start() {
    local nodes=${1:-3}
    [ "$(id -u)" = 0 ] || cannot "its daemons need root"
    leftover || cannot "$LINK is of another Slurm, or of a test at work"
    umask 022
    mkdir -p "$BASE"/{etc,run,log,state,spool,munge} /etc/slurm
    install
    # Daemons bind to the address of the host's name.
    getent hosts "$HOST" | grep -q '^127\.' || echo "127.0.0.1 $HOST $MARK" >>/etc/hosts
    [ -s "$BASE/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$BASE/munge/key")
    configure "$nodes" >"$BASE/etc/slurm.conf"
    echo "CgroupPlugin=cgroup/v1" >"$BASE/etc/cgroup.conf"
    # Snakemake's jobs drop SLURM_CONF before their inner srun, so the file must be where Slurm looks.
    ln -sfn "$BASE/etc/slurm.conf" $LINK
    munged --key-file="$BASE/munge/key" --socket="$BASE/munge/socket" --pid-file="$BASE/run/munged.pid" \
        --log-file="$BASE/log/munged.log" --seed-file="$BASE/munge/seed" --force 2>>"$BASE/log/start.log" ||
        cannot "munged: $(tail -n 1 "$BASE/log/start.log")"
    within 10 munge -n -S "$BASE/munge/socket" || cannot "munged does not answer"
    controller
    for i in $(seq 1 "$nodes"); do node "n$i"; done
    within 30 ready "$nodes" || cannot "not all of $nodes nodes are ready: $(sinfo -h -N -o '%N %T' | tr '\n' ' ')"
}

controller() {
    slurmctld || cannot "slurmctld: $(tail -n 1 "$BASE/log/slurmctld.log")"
    within 20 scontrol ping || cannot "slurmctld does not answer"
}

node() {
    mkdir -p "$BASE/spool/$1"
    slurmd -N "$1" || cannot "slurmd: $(tail -n 1 "$BASE/log/slurmd.$1.log")"
}

descendants() {
    local child
    echo "$1"
    for child in $(ps -o pid= --ppid "$1"); do descendants "$child"; done
}

# The processes that watch a node's jobs hold its log open.
watchers() {
    local pid
    for pid in $(ps -eo pid=,args= | awk '$2 == "slurmstepd:" {print $1}'); do
        if ls -l "/proc/$pid/fd" 2>/dev/null | grep -q "slurmd.$1.log"; then echo "$pid"; fi
    done
}

cut_off() {
    kill -9 "$(cat "$BASE/run/slurmd.$1.pid")"
    rm -f "$BASE/run/slurmd.$1.pid"
}

lose() {
    local pid
    cut_off "$1"
    for pid in $(watchers "$1"); do kill -9 $(descendants "$pid") 2>/dev/null || true; done
}

end() { # pidfile
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || true
    within 10 eval "! kill -0 $pid" || kill -9 "$pid" 2>/dev/null || true
    rm -f "$1"
}

stop() {
    [ -d "$BASE/run" ] || return 0
    timeout 5 scancel -u root 2>/dev/null && sleep 1 || true
    for file in "$BASE"/run/slurmd.*.pid "$BASE/run/slurmctld.pid" "$BASE/run/munged.pid"; do end "$file"; done
    # With the file there and no controller, every start of Snakemake with the plugin waits ten seconds.
    [ "$(readlink $LINK)" != "$BASE/etc/slurm.conf" ] || rm -f $LINK
    # In a container the file is mounted, so it is written in place.
    if grep -q "$MARK" /etc/hosts; then
        local hosts
        hosts=$(grep -v "$MARK" /etc/hosts)
        echo "$hosts" >/etc/hosts
    fi
}

action=${1:?what to do} BASE=${2:?folder}
shift 2
unset "${!SLURM_@}"
case $action in
start) start "$@" ;;
node) node "$1" ;;
controller) controller ;;
lose) lose "$1" ;;
cut) cut_off "$1" ;;
stop) stop ;;
*) echo "cluster.sh: start, node, controller, lose, cut or stop, not $action" >&2 && exit 2 ;;
esac
