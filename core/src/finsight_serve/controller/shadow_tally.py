"""The pairs of one migration's shadow, added up in bounded memory. In memory alone: a restart begins at nothing."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median

from ..domain.figures import nearest_rank
from ..domain.shadow import ShadowReport
from .shadow_answers import Answer

REMEMBERED_PAIRS = 1000  # whose speeds the ratios are taken from: the newest


@dataclass(frozen=True)
class _Speeds:
    source_ttft_s: float
    destination_ttft_s: float
    source_tokens_per_s: float | None
    destination_tokens_per_s: float | None


class Tally:
    def __init__(self) -> None:
        self._begun = 0  # pairs, ended or not
        self.places = 0  # taken by copies that are read or asked now
        self._counts = ShadowReport()
        self._speeds: deque[_Speeds] = deque(maxlen=REMEMBERED_PAIRS)
        self._report: ShadowReport | None = self._counts

    def begin(self) -> int:
        """Another pair. Its number, from 0."""
        self._begun += 1
        return self._begun - 1

    def add(self, source: Answer | None, destination: Answer | None, *, at_temperature_0: bool) -> None:
        """None for an answer that failed."""
        self._report = None
        counts = self._counts = replace(self._counts, pairs=self._counts.pairs + 1)
        if source is None:
            self._counts = replace(counts, source_failed=counts.source_failed + 1)
        elif destination is None:
            self._counts = replace(counts, failed=counts.failed + 1)
        else:
            self._speeds.append(_speeds(source, destination))
            is_other_text = at_temperature_0 and source.digests != destination.digests
            self._counts = replace(
                counts,
                other_finish=counts.other_finish + (source.finish_reasons != destination.finish_reasons),
                other_text=counts.other_text + is_other_text,
                at_temperature_0=counts.at_temperature_0 + at_temperature_0,
            )

    def drop(self) -> None:
        self._report = None
        self._counts = replace(self._counts, dropped=self._counts.dropped + 1)

    def report(self) -> ShadowReport:
        if self._report is None:
            self._report = replace(
                self._counts,
                ttft_p95_ratio=_ratio(
                    _p95(pair.destination_ttft_s for pair in self._speeds),
                    _p95(pair.source_ttft_s for pair in self._speeds),
                ),
                tokens_per_s_ratio=_ratio(
                    _median(pair.destination_tokens_per_s for pair in self._speeds),
                    _median(pair.source_tokens_per_s for pair in self._speeds),
                ),
            )
        return self._report


def _speeds(source: Answer, destination: Answer) -> _Speeds:
    """Tokens as the engines say; chunks where one of them does not, since the two ways count differently."""
    usage = (source.usage_tokens, destination.usage_tokens)
    tokens = (source.chunks, destination.chunks) if None in usage else usage
    paces = [_pace(count, answer.duration_s) for count, answer in zip(tokens, (source, destination), strict=True)]
    is_known = None not in paces
    return _Speeds(source.ttft_s, destination.ttft_s, *(paces if is_known else (None, None)))


def _pace(tokens: int | None, duration_s: float) -> float | None:
    return tokens / duration_s if tokens and duration_s > 0 else None


def _p95(values: Iterable[float]) -> float | None:
    return nearest_rank(sorted(values), 0.95)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _ratio(destination: float | None, source: float | None) -> float | None:
    return destination / source if destination is not None and source else None
