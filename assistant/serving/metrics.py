"""What the server counts, in Prometheus' form."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 180.0)


class Metrics:
    """One registry a server, so that several servers in one process do not share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter(
            "poise_requests", "Requests answered.", "route", "method", "status"
        )
        self.rejected = self._counter("poise_rejected", "Requests refused before work.", "reason")
        self.active = self._gauge("poise_requests_active", "Admitted requests.", "kind")
        self.duration = self._histogram(
            "poise_request_seconds", "From admission to the last byte.", "route"
        )
        self.first_token = self._histogram(
            "poise_time_to_first_token_seconds", "From the request to its first piece of text."
        )
        self.tokens = self._counter("poise_generated_tokens", "Tokens that chats received.")
        self.running = self._gauge("poise_engine_running", "Answers that the engine writes.")
        self.waiting = self._gauge("poise_engine_waiting", "Answers that wait for the engine.")
        self.batch = Histogram(
            "poise_engine_batch_size",
            "Answers decoded together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.cancelled = self._counter(
            "poise_cancelled", "Requests whose client went away before the end."
        )
        self.timeouts = self._counter("poise_timeouts", "Time-outs.", "where")
        self.clips = self._counter(
            "poise_clips", "Clips that were asked for, by whether they were seen before.", "cache"
        )
        self.perception = self._histogram(
            "poise_perception_seconds", "Decoding, pose estimation and features of a clip."
        )
        self.restarts = self._counter("poise_worker_restarts", "Perception workers replaced.")
        self.stored = self._gauge("poise_stored_bytes", "Bytes of uploaded files.")

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=_SECONDS, registry=self.registry)
