#!/usr/bin/env bash
# Rolls a deployment on the emulator from an older build to the present one and back, and once more, while tenants use it, and
# holds what there is afterwards against what was asked for (infra/e2e/README.md, docs/operations.md). It takes half an hour where
# nothing is compiled yet, most of it for compiling, and is not part of .ci/run.
#
#   rolling.sh [REVISION] [--seconds N]     from which one; how long each of the eight stages lasts
set -euo pipefail
cd "$(dirname "$0")/../.."

# The last one before items had formats. It writes format 1 of each, and reads whatever there is without looking.
revision=77eea2e79b09468e5653283be440f3bcd97e94c1
seconds=()
while (($# > 0)); do
    case $1 in
        --seconds) seconds=(--seconds "$2") && shift 2 ;;
        -*) echo "unknown argument: $1" >&2 && exit 2 ;;
        *) revision=$1 && shift ;;
    esac
done
commit=$(git rev-parse --quiet --verify "$revision^{commit}") ||
    { echo "$revision is not in this clone; with a history that is cut short, fetch the rest: git fetch --unshallow" >&2 && exit 1; }

source .ci/checks/emulator.sh
start_emulator
.ci/checks/build-functions.sh
old=$PWD/target/rolling/$commit
if [[ ! -d $old/lambda ]]; then
    # One is kept.
    rm -rf target/rolling
    mkdir -p "$old/tree"
    git archive "$commit" | tar --extract --directory "$old/tree"
    .ci/checks/build-functions.sh "$old/tree" "$old/lambda.partly"
    mv "$old/lambda.partly" "$old/lambda"
fi
# Not `--package`: what the workspace as a whole asks for is compiled already.
cargo build --quiet --locked --bin artisan

# The template is the present one: a function that the older build does not have is the present one's throughout.
first=$PWD/target/rolling/first
rm -rf "$first"
mkdir "$first"
for bootstrap in target/lambda/*/bootstrap; do
    function=$(basename "$(dirname "$bootstrap")")
    from=$old/lambda
    [[ -e $from/$function/bootstrap ]] || from=$PWD/target/lambda
    ln -s "$from/$function" "$first/$function"
done

deploy_stack "$first"
status=0
PYTHONDONTWRITEBYTECODE=1 .venv/bin/python infra/e2e/rolling.py --stack e2e --url "$url" --old "$old/lambda" --new target/lambda \
    --artisan target/debug/artisan "${seconds[@]}" || status=$?
refused=$(refused)
echo "${refused:-nothing was refused that a role does not allow}"
.venv/bin/python infra/e2e/complete.py e2e --faults || status=1
if ((status != 0)) || [[ -n $refused ]]; then
    errors
    exit 1
fi
