"""Exports of feedback and of chats, as other programs write them."""

from __future__ import annotations

from typing import Final

from core.capture.formats.argilla import ArgillaRecords
from core.capture.formats.chatgpt import ChatGPTBeside, ChatGPTConversations
from core.capture.formats.fastchat import FastChatBattles
from core.capture.formats.kiln import KilnTaskRun
from core.capture.formats.label_studio import LabelStudioJson, LabelStudioMin
from core.capture.formats.langfuse import LangfuseExport
from core.capture.formats.llm_logs import LlmLogs
from core.capture.formats.open_webui import OpenWebUIChats, OpenWebUIFeedback
from core.capture.formats.openpipe import OpenPipeLogs
from core.capture.formats.parts import Format
from core.capture.formats.prodigy import ProdigyAnnotations
from core.capture.formats.promptfoo import PromptfooPreferences

EXPORT_FORMATS: Final[tuple[Format, ...]] = (
    OpenWebUIFeedback(),
    OpenWebUIChats(),
    ChatGPTConversations(),
    ChatGPTBeside(),
    LangfuseExport(),
    LabelStudioJson(),
    LabelStudioMin(),
    ArgillaRecords(),
    ProdigyAnnotations(),
    PromptfooPreferences(),
    FastChatBattles(),
    OpenPipeLogs(),
    KilnTaskRun(),
    LlmLogs(),
)
"""In the order in which they are told apart; no two are sure of the same rows."""
