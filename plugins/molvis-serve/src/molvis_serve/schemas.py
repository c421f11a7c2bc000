"""What the API answers, as OpenAPI and the client know it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

__all__ = ["FileInfo", "Info", "JobInfo", "JobList", "OperationInfo", "Problem", "Progress", "UploadInfo"]


class Progress(BaseModel):
    """How far a job is."""

    done: int
    total: int = Field(description="0 while it is not known")
    what: str


class FileInfo(BaseModel):
    """A file that a job has made."""

    name: str
    bytes: int
    url: str


class JobInfo(BaseModel):
    """A job."""

    id: str
    operation: str
    title: str
    options: dict[str, Any]
    files: dict[str, list[str]] = Field(description="names of the files that were sent, by field")
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    ahead: int | None = Field(description="jobs that wait before it, while it waits")
    created: float = Field(description="seconds since 1970")
    started: float | None
    ended: float | None
    expires: float | None = Field(description="when it will be forgotten")
    attempts: int
    progress: Progress
    problem: str
    results: list[FileInfo] = Field(description="files to fetch, once it is done")


class JobList(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobInfo]


class Problem(BaseModel):
    """Why a request was not done."""

    error: str
    request_id: str


class UploadInfo(BaseModel):
    """Files that an operation takes."""

    name: str
    help: str
    suffixes: list[str]
    least: int
    most: int


class OperationInfo(BaseModel):
    """An operation."""

    name: str
    path: str = Field(description="below /api/v1")
    summary: str
    quick: bool = Field(description="whether it can be called at its path; every operation can be a job")
    options: dict[str, Any] = Field(description="as JSON Schema")
    files: list[UploadInfo]


class Info(BaseModel):
    """What the service offers."""

    version: str
    ready: bool
    shared: dict[str, Any] = Field(description="bundle, libraries and what else is opened, with their sizes")
    operations: list[OperationInfo]
    limits: dict[str, float]
