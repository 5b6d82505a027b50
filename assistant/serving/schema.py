"""Requests and answers of the HTTP interface, in the OpenAI form where it has one."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prompts.vocabulary import VIEWS

View = Literal["ego", "exo1", "exo2", "exo3", "exo4"]
assert get_args(View) == VIEWS
MAX_TEXT = 20_000


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileReference(_Request):
    """A clip: an uploaded file, or its bytes as a data URL with its name."""

    file_id: str | None = Field(None, max_length=100)
    file_data: str | None = Field(None, description="data:...;base64,...")
    filename: str | None = Field(None, max_length=300)

    @model_validator(mode="after")
    def _one(self) -> "FileReference":
        if (self.file_id is None) == (self.file_data is None):
            raise ValueError("give file_id or file_data, one of them")
        return self


class VideoUrl(_Request):
    """A data URL, or the file:// URL of a file in a folder that the server allows."""

    url: str


class TextPart(_Request):
    """Text of a message."""

    type: Literal["text", "input_text"]
    text: str = Field(max_length=MAX_TEXT)


class FilePart(_Request):
    """A film or a pose file, as the chat interface of OpenAI gives files."""

    type: Literal["file"]
    file: FileReference
    view: View | None = None


class InputFilePart(FileReference):
    """The same without the inner object, as the responses interface of OpenAI gives files."""

    type: Literal["input_file"]
    view: View | None = None


class VideoPart(_Request):
    """A film, as vLLM's server takes films."""

    type: Literal["video_url"]
    video_url: VideoUrl
    view: View | None = None


ClipPart = FilePart | InputFilePart | VideoPart
Part = Annotated[TextPart | FilePart | InputFilePart | VideoPart, Field(discriminator="type")]


class ChatMessage(BaseModel):
    """One message; what an assistant's message carries beside its text is not read."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Field(max_length=MAX_TEXT)] | list[Part] | None = None


class StreamOptions(_Request):
    """What a stream tells beside the text."""

    include_usage: bool = False
    include_obfuscation: bool = False


class ResponseFormat(_Request):
    """Only plain text is written."""

    type: Literal["text"] = "text"


class ChatRequest(_Request):
    """A conversation about a clip. What is listed with one value only takes no other."""

    model: str = Field(max_length=200)
    messages: list[ChatMessage] = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2, description="default 0: greedy")
    seed: int | None = Field(None, ge=0, lt=2**63)
    activity: str | None = Field(None, description="Poise: judge the clip as this activity")
    n: Literal[1] | None = None
    top_p: Literal[1] | None = None
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    logprobs: Literal[False] | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None


class CoachRequest(_Request):
    """A clip to be coached: one film, one pose file, or both and further views."""

    clip: list[Annotated[FilePart | InputFilePart | VideoPart, Field(discriminator="type")]] = (
        Field(min_length=1, max_length=6)
    )
    activity: str | None = None
    seed: int = Field(0, ge=0, lt=2**63)


class ClipSaid(BaseModel):
    """What Poise adds to a completion: which clip it is about, and beside which it stands."""

    sha256: str = Field(description="of the clip's files; the same clip has the same")
    judged: bool
    activity: str | None
    level: str | None
    earlier_sha256: str | None = Field(
        None, description="of the earlier clip of the same activity that it is compared with"
    )


class Usage(BaseModel):
    """Tokens; feature rows of the clip count as one each."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(BaseModel):
    """What the model says."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The only choice."""

    index: int = 0
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    poise: ClipSaid


class FileObject(BaseModel):
    """An uploaded file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    expires_at: int | None = None


class FileList(BaseModel):
    """The client's uploaded files."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    has_more: Literal[False] = False


class FileDeleted(BaseModel):
    """A file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class ModelObject(BaseModel):
    """The served model, or one of its adapters."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["poise"] = "poise"


class ModelList(BaseModel):
    """The served model first, then its adapters."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class ErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every refusal."""

    error: ErrorDetail
