"""The file of a brought-along method as it was when a run was made: kept in the run's folder, with its sha256.

<run>/method/mine.py          the file
<run>/method/mine.py.sha256   as `sha256sum` writes it; written last

So the weights of a run can be asked without the file, wherever that is by now.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from methods import custom as methods
from methods.custom import MethodFile
from methods.registry import METHODS
from results.launch.plan.weight_cards import run_folder
from results.store.files import write_atomically
from results.store.folders import CorruptRecord
from splits.errors import UserError, file_words

FOLDER: Final = "method"
DIGEST: Final = ".sha256"


def keep_method(run: Path, method: str, check: Callable[[], None]) -> None:
    """Store the file that a method came from in a run's folder; nothing for a method that no file brought.

    check: is called before each file appears; it may raise to call that off.
    """
    file = methods.file_of(method)
    if file is None:
        return
    content, path = file.source.encode(), run / FOLDER / Path(file.path).name
    line = f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"
    for other in path.parent.glob("*"):
        if not other.name.startswith((path.name, ".")):
            other.unlink()  # of an attempt before, with a file of another name
    write_atomically(path, content, before_rename=check)
    write_atomically(path.with_name(path.name + DIGEST), line.encode(), before_rename=check)


def kept_method(run: Path) -> MethodFile | None:
    """The file in a run's folder; None where there is none. Raises CorruptRecord where it is not what was stored."""
    digests = sorted((run / FOLDER).glob(f"*.py{DIGEST}"))
    if not digests:
        return None
    path = digests[0].with_name(digests[0].name.removesuffix(DIGEST))
    try:
        content, wanted = path.read_bytes(), digests[0].read_text(encoding="utf-8").split()[:1]
        text = content.decode()
    except OSError as error:
        raise CorruptRecord(f"{path}: {file_words(error)}; give the method's file with --method-file") from None
    except UnicodeDecodeError:
        text, wanted = "", []
    if [hashlib.sha256(content).hexdigest()] != wanted:
        raise CorruptRecord(f"{path}: has changed since its run was made; give the method's file with --method-file")
    return MethodFile(str(path), text)


def load_kept(names: Iterable[str], runs: Iterable[str], weights: Path | None, roots: Iterable[Path]) -> None:
    """Make methods known that no file on the command line brings, from the runs that were made with them.

    names: of methods that are asked for. runs: by their folder, or the key that ends its name. weights: a file in a
    run's folder. Raises UserError where the runs hold several versions of a file.
    """
    roots = list(roots)
    folders = [run_folder(text, root) for text in runs for root in roots[:1]]
    _load([*folders, *([weights.parent] if weights is not None else [])], "the runs named")
    for name in dict.fromkeys(name for name in names if name not in METHODS and methods.NAME.fullmatch(name)):
        found = [path.parent.parent for root in roots for path in root.glob(f"*/{name}/fold*/{FOLDER}/*.py{DIGEST}")]
        _load(sorted(found), f"the runs of {name}")


def _load(folders: Iterable[Path], which: str) -> None:
    files = {file.source: file for file in map(kept_method, folders) if file is not None}
    files = {source: file for source, file in files.items() if source not in _loaded()}
    names = [Path(file.path).name for file in files.values()]
    if len(set(names)) < len(names):
        raise UserError(
            f"{which} hold {len(names)} versions of {names[0]}; give the one you mean with --method-file, or fewer runs"
        )
    for file in files.values():
        if file.module in methods.LOADED:
            continue  # a file of that name was given on the command line
        print(f"note: {', '.join(methods.load(file))} as kept in {file.path}", file=sys.stderr)


def _loaded() -> set[str]:
    return {file.source for file in methods.LOADED.values()}
