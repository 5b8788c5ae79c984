"""Segments of speech as SubRip and WebVTT files."""

from collections.abc import Sequence

from deployments.npu.speech.service import Segment


def srt(segments: Sequence[Segment]) -> str:
    """Return a SubRip file: numbered cues, with a comma before the milliseconds."""
    blocks = (
        f"{number}\n{_clock(s.start, ',')} --> {_clock(s.end, ',')}\n{_line(s.text)}\n"
        for number, s in enumerate(segments, 1)
    )
    return "\n".join(blocks)


def vtt(segments: Sequence[Segment]) -> str:
    """Return a WebVTT file: cues without numbers, with a point before the milliseconds."""
    cues = (f"{_clock(s.start, '.')} --> {_clock(s.end, '.')}\n{_line(s.text)}\n" for s in segments)
    return "\n".join(["WEBVTT\n", *cues])


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def _line(text: str) -> str:
    # Both formats end a cue at an empty line and know its times by the arrow.
    return " ".join(text.split()).replace("-->", "->")
