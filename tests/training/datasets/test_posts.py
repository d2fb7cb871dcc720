"""Readers of posts: every layout gives the same posts; what is broken is named, without the text."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.datasets.posts import (
    HateCheckCase,
    Post,
    is_hate,
    read_davidson,
    read_hatecheck,
    read_hateval,
    read_memes,
    read_mmhs150k,
    read_mmhs_jsonl,
    read_toxigen,
)
from training.text_detection.paths import data_dir

LINE_SEPARATOR = "\u2028"  # which splitlines() would cut at; tweets hold it


def write(file: Path, content: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def lines(file: Path, *rows: object) -> Path:
    return write(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Three posts of MMHS150K in its published layout."""
    posts = {
        "11": {
            "tweet_text": "a blarg",
            "labels": [1, 0, 5],
            "labels_str": ["Racist", "NotHate", "OtherHate"],
        },
        "12": {"tweet_text": "a day", "labels": [0, 0, 2], "img_url": "x", "tweet_url": "y"},
        "13": {"tweet_text": f"two{LINE_SEPARATOR}lines", "labels": [3, 3, 3]},
    }
    write(tmp_path / "MMHS150K_GT.json", posts)
    write(tmp_path / "img_txt/11.json", {"img_text": "words in it"})
    write(tmp_path / "img_resized/11.jpg", "jpg")
    write(tmp_path / "splits/train_ids.txt", "11\n13\n")
    write(tmp_path / "splits/val_ids.txt", "12")
    return tmp_path


def test_mmhs150k_as_published(official: Path) -> None:
    posts = list(read_mmhs150k(official))
    assert posts[0] == Post(
        id="11",
        text="a blarg",
        image_text="words in it",
        image=official / "img_resized/11.jpg",
        labels=("Racist", "NotHate", "OtherHate"),
        label=True,
        split="train",
    )
    # No file of OCR: there were no words. No image file: no image.
    assert (posts[1].label, posts[1].image_text, posts[1].image, posts[1].split) == (False, "", None, "val")
    assert posts[2].text == f"two{LINE_SEPARATOR}lines"
    assert [post.id for post in read_mmhs150k(official, "train")] == ["11", "13"]
    with pytest.raises(FileNotFoundError, match="no splits/test_ids.txt"):
        list(read_mmhs150k(official, "test"))


def test_mmhs150k_that_is_broken(official: Path) -> None:
    write(official / "img_txt/12.json", "{")
    with pytest.raises(ValueError, match=r"12\.json, line 1: not JSON"):
        list(read_mmhs150k(official))
    write(official / "splits/val_ids.txt", "12\n99\n")
    with pytest.raises(ValueError, match=r"val_ids\.txt, line 2: post '99' is not in"):
        list(read_mmhs150k(official))
    write(official / "MMHS150K_GT.json", {"1": {"tweet_text": "a"}})
    (official / "splits/train_ids.txt").unlink()
    write(official / "splits/val_ids.txt", "")
    with pytest.raises(ValueError, match="post '1': no field 'labels'"):
        list(read_mmhs150k(official))
    write(official / "MMHS150K_GT.json", {"1": {"tweet_text": "a", "labels": [0, 6, 0]}})
    with pytest.raises(ValueError, match="label 6 is neither 0 to 5"):
        list(read_mmhs150k(official))
    write(official / "MMHS150K_GT.json", '{\n"1": ')
    with pytest.raises(ValueError, match="line 2: not JSON"):
        list(read_mmhs150k(official))
    with pytest.raises(FileNotFoundError, match=r"has no MMHS150K_GT\.json"):
        list(read_mmhs150k(official / "splits"))


def test_mmhs150k_as_json_lines(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "posts.jsonl",
        {
            "id": "7",
            "tweet_text": f"a{LINE_SEPARATOR}b",
            "image_text": "",
            "labels": ["NotHate", "Sexist", "Racist"],
            "hate": True,
            "split": "val",
        },
        {"image": "3.jpg", "tweet_text": "c", "labels": "[0, 0, 1]"},
    )
    first, second = read_mmhs_jsonl(file, tmp_path / "images")
    assert (first.id, first.text, first.image_text, first.image) == ("7", f"a{LINE_SEPARATOR}b", "", None)
    assert (first.labels, first.label, first.split) == (("NotHate", "Sexist", "Racist"), True, "val")
    assert (second.id, second.image_text, second.image) == ("3", None, tmp_path / "images/3.jpg")
    assert (second.labels, second.label) == (("NotHate", "NotHate", "Racist"), False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: expected an object, got list"),
        ('{"id": "1", "labels": [0, 0, 0]}', "line 2: no field 'tweet_text'"),
        ('{"tweet_text": "secret", "labels": [0]}', "line 2: no field 'id' or 'image'"),
        ('{"id": "1", "tweet_text": "secret"}', "line 2: no field 'labels'"),
        ('{"id": "1", "tweet_text": "secret", "labels": "none"}', "line 2: 'labels' is not a list"),
        ('{"id": "1", "tweet_text": "secret", "labels": []}', "line 2: 'labels' is not a list"),
        ('{"id": "1", "tweet_text": "secret", "labels": ["Blarg"]}', "line 2: label 'Blarg' is neither"),
        ('{"id": "1", "tweet_text": "secret", "labels": [true]}', "line 2: label True is neither"),
        ('{"id": "1", "tweet_text": ["secret"], "labels": [0]}', "line 2: 'tweet_text' is a text, not list"),
        (
            '{"id": "1", "tweet_text": "secret", "labels": [0], "hate": "no"}',
            "line 2: 'hate' is true or false",
        ),
    ],
)
def test_json_lines_that_are_broken(tmp_path: Path, row: str, message: str) -> None:
    good = '{"id": "0", "tweet_text": "a", "labels": [0, 0, 0]}'
    file = write(tmp_path / "posts.jsonl", f"{good}\n{row}\n")
    with pytest.raises(ValueError) as caught:
        list(read_mmhs_jsonl(file))
    assert message in str(caught.value) and "posts.jsonl" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_memes_in_both_spellings(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "dev.jsonl",
        {"id": 8291, "img": "img/08291.png", "label": 1, "text": "a blarg"},
        {"id": 46971, "img": "img/46971.png", "text": "kept back"},
        {"image": "10.jpg", "label": 0, "text": "a day"},
    )
    first, second, third = read_memes(file, tmp_path, "dev")
    assert first == Post(
        "8291", "", image_text="a blarg", image=tmp_path / "img/08291.png", label=True, split="dev"
    )
    assert second.label is None
    assert (third.id, third.label, third.image) == ("10", False, tmp_path / "10.jpg")
    lines(file, {"img": "1.png", "label": 2, "text": "a"})
    with pytest.raises(ValueError, match=r"dev\.jsonl, line 1: label must be 0 or 1, not 2"):
        list(read_memes(file, tmp_path))


def test_davidson(tmp_path: Path) -> None:
    header = ",count,hate_speech,offensive_language,neither,class,tweet\n"
    file = write(tmp_path / "d.csv", header + '0,3,2,1,0,0,"a, blarg\nday"\n5,3,0,3,0,1,b\n')
    first, second = read_davidson(file)
    assert first == Post("0", "a, blarg\nday", labels=("hate", "hate", "offensive"), label=True)
    assert (second.id, second.labels, second.label) == ("5", ("offensive",) * 3, False)
    write(file, header + '0,3,2,1,0,0,"a\nb"\n1,3,x,1,0,0,c\n')
    with pytest.raises(ValueError, match=r"d\.csv, line 4: hate_speech is no integer: 'x'"):
        list(read_davidson(file))
    write(file, header + "0,3,3,0,0,4,a\n")
    with pytest.raises(ValueError, match="line 2: counts are ≥ 0 and the class 0, 1 or 2"):
        list(read_davidson(file))
    write(file, "id,tweet\n")
    with pytest.raises(ValueError, match="line 1: no column hate_speech, offensive_language, neither, class"):
        list(read_davidson(file))


def test_hateval(tmp_path: Path) -> None:
    file = write(tmp_path / "en.tsv", 'id\ttext\tHS\tTR\tAG\r\n1\t"a quote\t1\t0\t1\r\n2\tb\t0\t0\t0\r\n')
    first, second = read_hateval(file, "train")
    assert first == Post("1", '"a quote', label=True, split="train", tags=("aggressive",))
    assert (second.label, second.tags) == (False, ())
    test_file = write(tmp_path / "test.tsv", "id\ttext\n3\tuna niña\n")
    assert list(read_hateval(test_file)) == [Post("3", "una niña")]
    write(file, "id\ttext\tHS\tTR\tAG\n1\ta\t1\n")
    with pytest.raises(ValueError, match=r"en\.tsv, line 2: expected 5 fields, got 3"):
        list(read_hateval(file))
    write(file, "id\ttext\tHS\tTR\tAG\n1\ta\t2\t0\t0\n")
    with pytest.raises(ValueError, match="line 2: HS must be 0 or 1, not 2"):
        list(read_hateval(file))
    write(file, "a\tb\n")
    with pytest.raises(ValueError, match="line 1: no column id, text"):
        list(read_hateval(file))


def test_toxigen(tmp_path: Path) -> None:
    header = "text,target_group,framing,toxicity_human\n"
    file = write(tmp_path / "t.csv", header + '"a, b",women,x,4.3\nc,jewish,x,3.0\nd,asian,x,2.0\n')
    first, second, third = read_toxigen(file)
    assert first == Post("0", "a, b", label=True, tags=("women",))
    assert (second.label, third.label, third.tags) == (None, False, ("asian",))
    assert [post.label for post in read_toxigen(file, hate=3.0)] == [True, True, False]
    for wrong in ("", "x", "5.1", "nan"):
        write(file, header + f"blarg,women,x,{wrong}\n")
        with pytest.raises(ValueError, match=r"t\.csv, line 2: toxicity_human must be") as caught:
            list(read_toxigen(file))
        assert "blarg" not in str(caught.value)
    write(file, "text,framing\n")
    with pytest.raises(ValueError, match="line 1: no column target_group, toxicity_human"):
        list(read_toxigen(file))


def test_hatecheck(tmp_path: Path) -> None:
    header = ",functionality,test_case,label_gold,target_ident\n"
    file = write(tmp_path / "h.csv", header + "0,threat_h,a,hateful,women\n1,object_nh,b,non-hateful,\n")
    assert list(read_hatecheck(file)) == [
        HateCheckCase("a", "threat_h", True, "women"),
        HateCheckCase("b", "object_nh", False, ""),
    ]
    write(file, header + "0,threat_h,blarg,perhaps,women\n")
    with pytest.raises(ValueError, match="line 2: label_gold must be") as caught:
        list(read_hatecheck(file))
    assert "blarg" not in str(caught.value)
    write(file, "a\n")
    with pytest.raises(ValueError, match="no column functionality, test_case, label_gold, target_ident"):
        list(read_hatecheck(file))


def data(name: str, reader: Callable[..., Any], *more: str) -> list[Post]:
    file = data_dir() / name
    if not file.exists():
        pytest.skip(f"needs {name} in the data folder (INTERPLAY_DATA_DIR)")
    return list(reader(file, *(data_dir() / folder for folder in more)))


def test_the_tweets_at_hand() -> None:
    posts = data("mmhs150k/tweets.jsonl", read_mmhs_jsonl)
    assert len(posts) == len({post.id for post in posts}) == 10_000
    assert Counter(post.split for post in posts) == {"val": 5000, "test_a": 5000}
    assert all(is_hate(post.labels) == post.label for post in posts)


def test_the_tweets_with_images_at_hand() -> None:
    posts = data("mmhs150k/with_images.jsonl", read_mmhs_jsonl, "mmhs150k/images")
    assert len(posts) == 99
    assert all(post.image is not None and post.image.is_file() for post in posts)


def test_the_memes_at_hand() -> None:
    posts = data("memes/labels.jsonl", read_memes, "memes/images")
    assert Counter(post.label for post in posts) == {False: 307, True: 293}
    assert all(post.image is not None and post.image.is_file() for post in posts)


def test_davidson_at_hand() -> None:
    posts = data("davidson/labeled_data.csv", read_davidson)
    assert len(posts) == 24_783 and sum(bool(post.label) for post in posts) == 1_430


@pytest.mark.parametrize(
    ("name", "number", "hate"),
    [
        ("2_Development-English-A_train_en.tsv", 9000, 3783),
        ("2_Development-Spanish-A_dev_es.tsv", 500, 222),
        ("3_Evaluation-Spanish_test_es.tsv", 1600, 0),
    ],
)
def test_hateval_at_hand(name: str, number: int, hate: int) -> None:
    posts = data(f"hateval2019/{name}", read_hateval)
    assert (len(posts), sum(bool(post.label) for post in posts)) == (number, hate)
