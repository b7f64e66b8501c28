#!/usr/bin/env bash
# jaxmarl 0.2.0: `import jaxmarl` throws away whatever stands in for sys.stdout and sys.stderr.
#
# A good guess: an import leaves the process as it was, and what an import prints can be caught with `redirect_stdout`.
# Seen: `jaxmarl/environments/mabrax/mabrax_env.py` points both streams at /dev/null while it looks for brax, and then at
# `sys.__stdout__` and `sys.__stderr__`, not at what they were. So a redirection ends in its own block, two lines about
# submodules are printed past it, and in a notebook, or below a logger or a progress bar that replaces the streams,
# everything that is printed after the import goes to the terminal of the process: nobody sees it.
#
# covey imports JaxMARL behind `covey.environments.jaxmarl.sources:quiet`, which puts the streams back and prints nothing;
# `covey ... --json -` would be no JSON otherwise. Whoever imports JaxMARL has to do the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet jaxmarl==0.2.0 jax==0.10.2 jaxlib==0.10.1

cat > "$folder/streams.py" <<'PYTHON'
import contextlib
import io

caught = io.StringIO()
with contextlib.redirect_stdout(caught):
    print("before the import")
    import jaxmarl

    print("after the import")
print("caught:", caught.getvalue().split("\n"))
PYTHON

JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/streams.py" | tee "$folder/out"
grep -qx "after the import" "$folder/out"
grep -qx "Importing submoduled environments..." "$folder/out"
grep -qxF "caught: ['before the import', '']" "$folder/out"
echo "as seen with jaxmarl 0.2.0"
