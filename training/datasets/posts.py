"""Readers of posts with labels: tweets and memes, with or without an image.

    MMHS150K        MMHS150K_GT.json, img_txt/ID.json, splits/{train,val,test}_ids.txt, img_resized/ID.jpg
    MMHS150K JSONL  `id, tweet_text, image_text, labels, hate, split` a line, or `image, tweet_text, labels`
    memes           JSONL as of Hateful Memes: `id, img, label, text`, or `image, label, text`
    Davidson        CSV `count, hate_speech, offensive_language, neither, class, tweet`
    HatEval         TSV `id, text, HS, TR, AG`; the test files have `id, text` only
    ToxiGen         CSV with `text, target_group, toxicity_human` of its statements that people judged
    HateCheck       CSV with `functionality, test_case, label_gold, target_ident`

Every reader yields `Post`, HateCheck's `HateCheckCase`. Errors name the file and the line, and never the
text: these sets hold insults and names of people.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MMHS_CATEGORIES = ("NotHate", "Racist", "Sexist", "Homophobe", "Religion", "OtherHate")
DAVIDSON_CLASSES = ("hate", "offensive", "neither")
_DAVIDSON_COLUMNS = ("hate_speech", "offensive_language", "neither")


@dataclass(frozen=True)
class Post:
    """A post and what people said of it.

    Attributes:
        id: unique within its set.
        text: what the author wrote; as written.
        image_text: the words in its image; None where nobody looked, "" where there are none.
        image: path of the image; None for a post without one.
        labels: the annotators' labels by name, one each, in the set's own words; empty where the set
            has only its conclusion.
        label: True for hate; None where the set keeps it back.
        split: the part that the set puts it in; "" where it has none.
        tags: further labels of the set: HatEval's "target" and "aggressive".
    """

    id: str
    text: str
    image_text: str | None = None
    image: Path | None = None
    labels: tuple[str, ...] = ()
    label: bool | None = None
    split: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class HateCheckCase:
    """A case of HateCheck.

    Attributes:
        text: to be judged.
        functionality: the kind of case, as "threat_dir_h".
        label: True for hate.
        group: at which it is aimed or of which it speaks; "" where it is none.
    """

    text: str
    functionality: str
    label: bool
    group: str


def is_hate(labels: tuple[str, ...]) -> bool:
    """MMHS150K's rule: hate if two of the three labels are a kind of hate; of other numbers, more than half.

    (A handful of posts have one, two or four labels.)
    """
    return 2 * sum(label != MMHS_CATEGORIES[0] for label in labels) > len(labels)


def read_mmhs150k(root: Path, split: str | None = None) -> Iterator[Post]:
    """MMHS150K as published; an image that is not there gives a post without one.

    Args:
        root: folder with `MMHS150K_GT.json`, and `img_txt`, `splits` and `img_resized` where they are.
        split: "train", "val" or "test"; None reads all posts, in the file's order.

    Raises:
        FileNotFoundError: no MMHS150K_GT.json, or no list of the split that is asked for.
        ValueError: a post lacks a field or has an unknown label, or the split names an unknown post.
    """
    file = root / "MMHS150K_GT.json"
    if not file.is_file():
        raise FileNotFoundError(f"{root} has no MMHS150K_GT.json")
    try:
        posts = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}, line {error.lineno}: not JSON ({error.msg})") from None
    part_of: dict[str, str] = {}
    for name in ("train", "val", "test"):
        ids = root / "splits" / f"{name}_ids.txt"
        if not ids.is_file():
            if name == split:
                raise FileNotFoundError(f"{root} has no splits/{name}_ids.txt")
            continue
        for number, line in enumerate(ids.read_text(encoding="utf-8").split("\n"), 1):
            if identity := line.strip():
                if identity not in posts:
                    raise ValueError(f"{ids}, line {number}: post {identity!r} is not in {file.name}")
                part_of[identity] = name
    for identity, row in posts.items():
        if split is not None and part_of.get(identity) != split:
            continue
        where = f"{file}, post {identity!r}"
        labels = _mmhs_labels(_field(row, "labels", where), where)
        image = root / "img_resized" / f"{identity}.jpg"
        yield Post(
            id=identity,
            text=_text(row, "tweet_text", where),
            image_text=_image_text(root / "img_txt", identity),
            image=image if image.is_file() else None,
            labels=labels,
            label=is_hate(labels),
            split=part_of.get(identity, ""),
        )


def read_mmhs_jsonl(file: Path, images: Path | None = None) -> Iterator[Post]:
    """MMHS150K as JSON lines: a subset of it, with or without images.

    Args:
        file: the JSONL. Labels are names or numbers, three a post; a text like "[0, 0, 1]" does, too.
        images: folder of the images that `image` names.

    Raises:
        ValueError: a line is no JSON object, lacks a field, or has an unknown label.
    """
    for where, row in _json_lines(file):
        labels = _mmhs_labels(_field(row, "labels", where), where)
        image = row.get("image")
        if "id" not in row and image is None:
            raise ValueError(f"{where}: no field 'id' or 'image'")
        hate = row.get("hate", is_hate(labels))
        if not isinstance(hate, bool):
            raise ValueError(f"{where}: 'hate' is true or false, not {hate!r}")
        yield Post(
            id=str(row["id"]) if "id" in row else Path(str(image)).stem,
            text=_text(row, "tweet_text", where),
            image_text=_text(row, "image_text", where) if row.get("image_text") is not None else None,
            image=images / str(image) if image is not None and images is not None else None,
            labels=labels,
            label=hate,
            split=str(row.get("split", "")),
        )


def read_memes(file: Path, images: Path, split: str = "") -> Iterator[Post]:
    """JSON lines as of Hateful Memes. A meme's words are those in its image, so `text` is empty.

    Args:
        file: the JSONL; `label` is 1 for hateful, 0 for not, and missing where the set keeps it back.
        images: folder that the names in `img` (or `image`) are relative to.
        split: what to call the part.

    Raises:
        ValueError: a line is no JSON object, lacks a field, or has another label.
    """
    for where, row in _json_lines(file):
        image = _text(row, "img" if "img" in row else "image", where)
        label = row.get("label")
        if label not in (0, 1, None):
            raise ValueError(f"{where}: label must be 0 or 1, not {label!r}")
        yield Post(
            id=str(row.get("id", Path(image).stem)),
            text="",
            image_text=_text(row, "text", where),
            image=images / image,
            label=None if label is None else bool(label),
            split=split,
        )


def read_davidson(file: Path) -> Iterator[Post]:
    """Davidson et al.: label is True for hate; offensive language alone is not hate.

    The annotators' labels are "hate", "offensive" or "neither", as often as they were given.

    Raises:
        ValueError: a column is missing or a number is none.
    """
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        _require(reader.fieldnames, (*_DAVIDSON_COLUMNS, "class", "tweet"), file)
        for number, row in enumerate(reader):
            where = f"{file}, line {reader.line_num}"
            counts = [_integer(row[column], column, where) for column in _DAVIDSON_COLUMNS]
            kind = _integer(row["class"], "class", where)
            if min(counts) < 0 or kind not in (0, 1, 2):
                raise ValueError(f"{where}: counts are ≥ 0 and the class 0, 1 or 2, not {counts} and {kind}")
            labels = tuple(name for name, n in zip(DAVIDSON_CLASSES, counts, strict=True) for _ in range(n))
            yield Post(id=row.get("") or str(number), text=row["tweet"], labels=labels, label=kind == 0)


def read_hateval(file: Path, split: str = "") -> Iterator[Post]:
    """HatEval (SemEval-2019 task 5), English or Spanish; a test file without labels gives None.

    Args:
        file: the TSV. Fields are as written: quotation marks quote nothing.
        split: what to call the part.

    Raises:
        ValueError: a column is missing, a line has another number of fields, or a label is not 0 or 1.
    """
    lines = file.read_text(encoding="utf-8-sig").split("\n")
    columns = lines[0].rstrip("\r").split("\t")
    _require(columns, ("id", "text"), file)
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        fields = line.rstrip("\r").split("\t")
        if len(fields) != len(columns):
            raise ValueError(f"{where}: expected {len(columns)} fields, got {len(fields)}")
        row = dict(zip(columns, fields, strict=True))
        marks = {}
        for column in ("HS", "TR", "AG"):
            if column in row:
                marks[column] = _integer(row[column], column, where)
                if marks[column] not in (0, 1):
                    raise ValueError(f"{where}: {column} must be 0 or 1, not {marks[column]}")
        tags = [name for column, name in (("TR", "target"), ("AG", "aggressive")) if marks.get(column)]
        label = bool(marks["HS"]) if "HS" in marks else None
        yield Post(id=row["id"], text=row["text"], label=label, split=split, tags=tuple(tags))


def read_toxigen(file: Path, *, hate: float = 4.0, harmless: float = 2.0) -> Iterator[Post]:
    """ToxiGen's statements that people judged (Hartvigsen et al., ACL 2022): `annotated_train.csv`.

    A statement's one tag is the group that it speaks of. Its label is None where people were in between.

    Args:
        file: the CSV; `toxicity_human` is a mean of judgements from 1 to 5.
        hate: toxicity from which a statement is hate.
        harmless: toxicity up to which it is not.

    Raises:
        ValueError: a column is missing, or a toxicity is no number from 1 to 5.
    """
    columns = ("text", "target_group", "toxicity_human")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        _require(reader.fieldnames, columns, file)
        for number, row in enumerate(reader):
            where = f"{file}, line {reader.line_num}"
            try:
                toxicity = float(row["toxicity_human"] or "nan")
            except ValueError:
                toxicity = float("nan")
            if not 1 <= toxicity <= 5:
                raise ValueError(f"{where}: toxicity_human must be a number from 1 to 5")
            label = True if toxicity >= hate else False if toxicity <= harmless else None
            yield Post(id=str(number), text=row["text"] or "", label=label, tags=(row["target_group"] or "",))


def read_hatecheck(file: Path) -> Iterator[HateCheckCase]:
    """HateCheck (Röttger et al., ACL 2021): `test_suite_cases.csv`. For measuring, never for training.

    Raises:
        ValueError: a column is missing, or a label is neither "hateful" nor "non-hateful".
    """
    columns = ("functionality", "test_case", "label_gold", "target_ident")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        _require(reader.fieldnames, columns, file)
        for row in reader:
            where = f"{file}, line {reader.line_num}"
            if row["label_gold"] not in ("hateful", "non-hateful"):
                raise ValueError(f"{where}: label_gold must be hateful or non-hateful")
            label = row["label_gold"] == "hateful"
            yield HateCheckCase(
                row["test_case"] or "", row["functionality"] or "", label, row["target_ident"] or ""
            )


def _json_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    # Not splitlines(): tweets hold separators such as U+2028, at which it would cut.
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: not JSON ({error.msg} at column {error.colno})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{where}: expected an object, got {type(row).__name__}")
        yield where, row


def _field(row: Any, name: str, where: str) -> Any:
    if not isinstance(row, dict) or name not in row:
        raise ValueError(f"{where}: no field {name!r}")
    return row[name]


def _text(row: Any, name: str, where: str) -> str:
    value = _field(row, name, where)
    if not isinstance(value, str):
        raise ValueError(f"{where}: {name!r} is a text, not {type(value).__name__}")
    return value


def _mmhs_labels(labels: Any, where: str) -> tuple[str, ...]:
    if isinstance(labels, str):
        try:
            labels = json.loads(labels)
        except json.JSONDecodeError:
            raise ValueError(f"{where}: 'labels' is not a list") from None
    if not isinstance(labels, list) or not labels:
        raise ValueError(f"{where}: 'labels' is not a list of labels")
    names = []
    for label in labels:
        if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(MMHS_CATEGORIES):
            names.append(MMHS_CATEGORIES[label])
        elif label in MMHS_CATEGORIES:
            names.append(label)
        else:
            raise ValueError(f"{where}: label {label!r} is neither 0 to 5 nor one of {MMHS_CATEGORIES}")
    return tuple(names)


def _image_text(folder: Path, identity: str) -> str | None:
    """The OCR's text of an image: "" where the folder has no file, as for images with 4 letters or fewer."""
    if not folder.is_dir():
        return None
    file = folder / f"{identity}.json"
    if not file.is_file():
        return ""
    try:
        return _text(json.loads(file.read_text(encoding="utf-8")), "img_text", str(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}, line {error.lineno}: not JSON ({error.msg})") from None


def _require(columns: Any, needed: tuple[str, ...], file: Path) -> None:
    missing = [column for column in needed if column not in (columns or ())]
    if missing:
        raise ValueError(f"{file}, line 1: no column {', '.join(missing)}")


def _integer(value: str | None, column: str, where: str) -> int:
    try:
        return int(value or "")
    except ValueError:
        raise ValueError(f"{where}: {column} is no integer: {value!r}") from None
