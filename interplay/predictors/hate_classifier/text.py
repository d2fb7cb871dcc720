"""Text of posts as tokens: one way for training, evaluation and serving.

What GloVe's Twitter vectors were made with, without its slips: digits and full stops stay apart from
letters instead of vanishing, and letters are Unicode's. Classes of things become one token each:

    https://…, www.…       <url>                 #SomeTag     <hashtag> some tag
    @name, a@b.org         <user>                sooo         soo <elong>
    1,000                  <number>              LOUD         loud <allcaps>
    :-)  :(  <3            <smile> <sad> <heart> !!!          ! <repeat>
    (an emoji)             :its_name:

Ideographs and kana are a token each, as no spaces part their words; words of other scripts are runs of
letters with their marks. Words keep apostrophes and the signs that hide letters ("sh*t").
"""

from __future__ import annotations

import html
import unicodedata
from functools import lru_cache

import emoji
import regex
import wordsegment

LONGEST_HASHTAG = 60  # letters; a longer one is not taken apart

_EMOJI_NAME = r":[a-z0-9_]*[a-z][a-z0-9_]*:"
_IDEOGRAPH = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_LETTER = r"(?:(?![\p{Han}\p{Hiragana}\p{Katakana}])[\p{L}\p{N}]\p{M}*)"
_TOKEN = regex.compile(
    rf"""
      (?P<kept> <(?:url|user|hashtag|number|elong|allcaps|repeat|smile|sad|heart)> | {_EMOJI_NAME} )
    | (?P<url> (?:https?://|www\.|(?<![\p{{L}}\p{{N}}])t\.co/)\S* )
    | (?P<user> (?<![\p{{L}}\p{{N}}_])@[\p{{L}}\p{{N}}_]+ | [\w.+-]{{1,64}}+@[\w-]{{1,63}}+\.[\w.-]*+ )
    | (?P<hashtag> (?<![\p{{L}}\p{{N}}_])\#[\p{{L}}\p{{N}}_\p{{M}}]+ )
    | (?P<heart> <3+ )
    | (?P<smile> [:=;8][-o']?[)\]dDpP](?![\p{{L}}\p{{N}}]) | [(\[][-o']?[:=;](?![\p{{L}}\p{{N}}]) )
    | (?P<sad> [:=;][-o']?[(\[/\\|](?![\p{{L}}\p{{N}}/]) )
    | (?P<number> \p{{N}}+(?:[.,:]\p{{N}}+)*(?![\p{{L}}\p{{M}}]) )
    | (?P<ideograph> {_IDEOGRAPH}\p{{M}}* )
    | (?P<word> {_LETTER}+(?:['*$]+{_LETTER}+)* )
    | (?P<sign> (?P<one>[^\s\p{{L}}\p{{N}}\p{{C}}]\p{{M}}*)(?P<more>(?P=one)*) )
    """,
    regex.VERBOSE,
)
_MAY_BE_EMOJI = regex.compile(
    "[" + "".join(sorted({char for name in emoji.EMOJI_DATA for char in name if not char.isascii()})) + "]"
)
_CLASSES = {"url", "user", "number", "smile", "sad", "heart"}
_ENTITY = regex.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|\w{1,31});")
_LONG = regex.compile(r"(\p{L})\1{2,}")
_CAMEL = regex.compile(r"\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|[\p{L}\p{M}]+|\p{N}+")
_NOT_NAME = regex.compile(r"[^a-z0-9]+")


def tokens(text: str) -> list[str]:
    """The tokens of a post, in order.

    Args:
        text: Any string; lone surrogates, control and unassigned characters count as nothing.

    Returns:
        Tokens in lower case without white space; none for a text without content. The tokens of the
        tokens joined with blanks are the same again, but for rare scripts' case rules.
    """
    named = html.unescape(text)
    if _MAY_BE_EMOJI.search(named):  # the emoji library takes longer than all the rest
        named = emoji.replace_emoji(named, _emoji_name)
    plain = unicodedata.normalize("NFKC", named).replace("’", "'").replace("‘", "'")
    found: list[str] = []
    for match in _TOKEN.finditer(plain):
        kind, value = match.lastgroup, match.group()
        if kind in _CLASSES:
            found.append(f"<{kind}>")
        elif kind == "hashtag":
            found += ["<hashtag>", *_hashtag_words(value[1:])]
        elif kind == "word":
            found += _word(value)
        elif match["sign"]:
            found.append(match["one"])
            if match["more"]:
                found.append("<repeat>")
        else:
            found.append(value)
    return found


def spans(text: str) -> list[tuple[int, int]]:
    """Where the things that a text is made of stand in it as given: what a reader would call its words.

    Words, hashtags, names, URLs, numbers, emoji and single ideographs; signs are left out, white space
    and what HTML writes for a sign ("&amp;") too.

    Returns:
        (start, end) in code points, end exclusive, in order and without overlap.
    """
    plain = _ENTITY.sub(lambda match: " " * len(match.group()), text).replace("’", "'").replace("‘", "'")
    found: list[tuple[int, int]] = []
    for each in emoji.emoji_list(plain) if _MAY_BE_EMOJI.search(plain) else []:
        start, end = each["match_start"], each["match_end"]
        plain = plain[:start] + " " * (end - start) + plain[end:]
        found.append((start, end))
    found += [match.span() for match in _TOKEN.finditer(plain) if not match["sign"]]
    return sorted(found)


def normalize(text: str) -> str:
    """The tokens with a blank between them."""
    return " ".join(tokens(text))


def content_words(words: list[str]) -> list[str]:
    """The tokens that are words: without classes (`<url>`), emoji and signs."""
    return [word for word in words if word[0] not in "<:" and any(char.isalnum() for char in word)]


def _word(value: str) -> list[str]:
    lower = unicodedata.normalize("NFKC", value.lower())
    short = _LONG.sub(r"\1\1", lower)
    marks = ["<elong>"] if short != lower else []
    if len(value) > 1 and value.isupper():
        marks.append("<allcaps>")
    return [short, *marks]


def _hashtag_words(tag: str) -> list[str]:
    words: list[str] = []
    for piece in tag.split("_"):
        parts = _CAMEL.findall(piece)
        for part in parts:
            if part.isnumeric():
                words.append("<number>")
            elif len(parts) == 1 and part.isascii() and len(part) <= LONGEST_HASHTAG:
                words += _segment(part.lower())
            else:
                words += [token for token in tokens(part.lower()) if token[0] not in "<"]
    return words


@lru_cache(maxsize=1)
def _segmenter() -> wordsegment.Segmenter:
    segmenter = wordsegment.Segmenter()
    segmenter.load()  # a second and 60 MB, so only when a hashtag asks for it
    return segmenter


@lru_cache(maxsize=4096)
def _segment(letters: str) -> tuple[str, ...]:
    return tuple(_segmenter().segment(letters))


def _emoji_name(_chars: str, facts: dict[str, str]) -> str:
    name = _NOT_NAME.sub("_", unicodedata.normalize("NFKD", facts.get("en", "")).lower()).strip("_")
    return f" :{name}: " if name else " "
