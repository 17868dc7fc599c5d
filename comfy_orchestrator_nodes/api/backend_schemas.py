"""How backends look in requests and answers. Secrets go in and never come out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StrictBool

from ..domain import LOCAL_BACKEND_ID, Agent, Backend, BackendStatus, Capabilities, Credentials, TlsOptions
from ..orchestrator.backends import BackendState
from .schemas import Body, Problem, Query, View, Visible

Name = Annotated[str, Field(min_length=1, max_length=100), Visible]
Tag = Annotated[str, Field(min_length=1, max_length=60), Visible]
Tags = Annotated[tuple[Tag, ...], Field(max_length=50)]
Secret = Annotated[str, Field(min_length=1, max_length=8192)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]
Notes = Annotated[str, Field(max_length=10_000)]


class TlsBody(Body):
    """How an https backend's certificate is checked."""

    verify: StrictBool = Field(default=True, description="False checks nothing: only for a network you trust.")
    ca_file: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        default=None, description="A PEM file on this server with the authorities to trust."
    )

    def to_domain(self) -> TlsOptions:
        """Return it as the domain has it."""
        return TlsOptions(self.verify, self.ca_file)


class CredentialsBody(Body):
    """What the backend wants in order to answer. Written, sent to that backend, and never read back."""

    bearer_token: Secret | None = None
    username: Annotated[str, Field(max_length=1000)] | None = None
    password: Secret | None = None
    headers: Annotated[dict[str, Secret], Field(max_length=20)] = Field(default_factory=dict)
    agent_token: Secret | None = Field(
        default=None, description="The token of this pack on that server, from its console: values then move exactly."
    )

    def to_domain(self) -> Credentials:
        """Return them as the domain has them."""
        return Credentials(self.bearer_token, self.username, self.password, dict(self.headers), self.agent_token)


class BackendBody(Body):
    """A backend to be registered or tried."""

    name: Name
    base_url: Url = Field(description="Such as http://192.168.1.5:8188; a path prefix is allowed.")
    enabled: StrictBool = True
    tags: Tags = ()
    notes: Notes = ""
    tls: TlsBody = Field(default_factory=TlsBody)
    credentials: CredentialsBody = Field(default_factory=CredentialsBody)

    def to_domain(self) -> Backend:
        """Return it without an id."""
        return Backend(
            id="",
            name=self.name,
            base_url=self.base_url,
            enabled=self.enabled,
            tags=self.tags,
            notes=self.notes,
            tls=self.tls.to_domain(),
            credentials=self.credentials.to_domain(),
        )


class BackendPatch(Body):
    """What is to change; what is left out stays. ``credentials`` replace the stored ones as a whole."""

    name: Name | None = None
    base_url: Url | None = None
    enabled: StrictBool | None = None
    tags: Tags | None = None
    notes: Notes | None = None
    tls: TlsBody | None = None
    credentials: CredentialsBody | None = None


class CredentialsView(View):
    """That there are credentials, never what they are."""

    has_bearer_token: bool
    username: str | None
    has_password: bool
    header_names: list[str]
    has_agent_token: bool


class TlsView(View):
    """How an https backend's certificate is checked."""

    verify: bool
    ca_file: str | None


class GpuView(View):
    """One device as the backend reports it."""

    name: str
    type: str
    vram_total_bytes: int
    vram_free_bytes: int


class AgentView(View):
    """This pack on the backend."""

    version: str
    protocol: str = Field(description="major.minor of docs/agent-protocol.md.")
    trusted: bool = Field(description="Whether values move through it, bit for bit.")
    problem: str = Field(description="Why they do not, in words.")

    @classmethod
    def of(cls, agent: Agent) -> AgentView:
        """Return an agent as it is shown."""
        return cls(version=agent.version, protocol=agent.protocol, trusted=agent.trusted, problem=agent.problem)


class CapabilitiesView(View):
    """What the backend said it is. Lists of classes and models have addresses of their own."""

    comfyui_version: str
    python_version: str
    os: str
    gpus: list[GpuView]
    max_upload_bytes: int | None
    node_classes: int = Field(description="How many node classes it has.")
    models: dict[str, int] = Field(description="Model folder to how many files are in it.")
    taken_at: float
    agent: AgentView | None = Field(description="null where the backend does not have this pack.")

    @classmethod
    def of(cls, found: Capabilities) -> CapabilitiesView:
        """Return capabilities as they are shown."""
        return cls(
            comfyui_version=found.comfyui_version,
            python_version=found.python_version,
            os=found.os,
            gpus=[GpuView(**vars(gpu)) for gpu in found.gpus],
            max_upload_bytes=found.max_upload_bytes,
            node_classes=len(found.node_classes),
            models={folder: len(files) for folder, files in sorted(found.models.items())},
            taken_at=found.taken_at,
            agent=AgentView.of(found.agent) if found.agent is not None else None,
        )


class HealthView(View):
    """A backend's health. Times are seconds since the epoch."""

    id: str
    name: str
    status: BackendStatus
    since: float
    latency_s: float | None
    last_error: str
    last_seen_at: float | None
    suspended_until: float | None
    draining: bool = Field(description="Whether it gets no new jobs, while those it has go on.")
    queue_remaining: int = Field(description="Prompts in its queue, ours included.")
    in_flight: int = Field(description="Prompts of ours being followed there.")

    @classmethod
    def of(cls, state: BackendState) -> HealthView:
        """Return a backend's health as it is shown."""
        return cls(**_health_fields(state))


class BackendView(HealthView):
    """A registered backend with what is known of it now."""

    base_url: str
    local: bool = Field(description="Whether it is this server itself.")
    enabled: bool
    tags: list[str]
    notes: str
    tls: TlsView
    credentials: CredentialsView
    created_at: float
    capabilities: CapabilitiesView | None = Field(description="null until it was reached.")

    @classmethod
    def of(cls, state: BackendState) -> BackendView:
        """Return a backend as it is shown."""
        backend, secret = state.backend, state.backend.credentials
        return cls(
            **_health_fields(state),
            base_url=backend.base_url,
            local=backend.id == LOCAL_BACKEND_ID,
            enabled=backend.enabled,
            tags=list(backend.tags),
            notes=backend.notes,
            tls=TlsView(verify=backend.tls.verify, ca_file=backend.tls.ca_file),
            credentials=CredentialsView(
                has_bearer_token=secret.bearer_token is not None,
                username=secret.username,
                has_password=secret.password is not None,
                header_names=sorted(secret.headers),
                has_agent_token=secret.agent_token is not None,
            ),
            created_at=backend.created_at,
            capabilities=CapabilitiesView.of(state.capabilities) if state.capabilities is not None else None,
        )


class BackendList(View):
    """Every backend, this server first."""

    backends: list[BackendView]


class TrialView(View):
    """Whether a server can be used as a backend: what it is, or what is wrong and how to mend it."""

    usable: bool
    capabilities: CapabilitiesView | None = None
    problem: Problem | None = None


class ProbeView(View):
    """How the backend answered just now."""

    answered: bool
    backend: BackendView
    problem: Problem | None = None


class CancelledView(View):
    """Which jobs were asked to end."""

    job_ids: list[str]


class NamesQuery(Query):
    """Restricts a list of names."""

    search: str = Field(default="", max_length=200, description="Looked for without regard to case.")


class NodeClassesView(View):
    """The node classes that a backend has, by name."""

    node_classes: list[str]


class ModelsView(View):
    """Model folder to the files in it, spelled as the backend spells them."""

    models: dict[str, list[str]]


def _health_fields(state: BackendState) -> dict[str, Any]:
    health = state.health
    return {
        "id": state.backend.id,
        "name": state.backend.name,
        "status": health.status,
        "since": health.since,
        "latency_s": health.latency_s,
        "last_error": health.last_error,
        "last_seen_at": health.last_seen_at,
        "suspended_until": health.suspended_until,
        "draining": state.backend.draining,
        "queue_remaining": state.queue_remaining,
        "in_flight": state.in_flight,
    }
