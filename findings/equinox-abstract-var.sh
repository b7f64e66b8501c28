#!/usr/bin/env bash
# equinox 0.13.8: with `from __future__ import annotations` an AbstractVar is no longer abstract, and nothing says so.
#
# A good guess: the annotation is read through its string, as `ClassVar` is by dataclasses, or there is an error.
# Seen: it becomes an ordinary field. The abstract class can be instantiated, and a subclass that answers with a property
# has a constructor that asks for that property. Without the import both behave as documented.
#
# It matters to those who build on covey: `covey.core.algorithm:Algorithm` declares `spec` and `groups` so. The module that
# declares such a variable must not have the import; modules of subclasses may.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet equinox==0.13.8 jax==0.10.2 jaxlib==0.10.1

cat > "$folder/plain.py" <<'PYTHON'
import equinox as eqx


class Shape(eqx.Module):
    sides: eqx.AbstractVar[int]


class Square(Shape):
    name: str

    @property
    def sides(self):
        return 4


for make in (lambda: Shape(3), lambda: Square(name="a")):
    try:
        print(make())
    except TypeError as error:
        print("TypeError:", error)
PYTHON
{ echo "from __future__ import annotations"; cat "$folder/plain.py"; } > "$folder/future.py"

for file in plain future; do
  JAX_PLATFORMS=cpu "$folder/venv/bin/python" "$folder/$file.py" > "$folder/$file.out"
  echo "== $file"
  cat "$folder/$file.out"
done
grep -qx "Square(name='a')" "$folder/plain.out"
grep -q "^TypeError" "$folder/plain.out"
grep -qx "Shape(sides=3)" "$folder/future.out"
grep -q "TypeError: Square.__init__() missing 1 required positional argument: 'sides'" "$folder/future.out"
echo "as seen with equinox 0.13.8"
