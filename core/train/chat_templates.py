"""Chat templates for files of known models that come without their own, as files made before GGUF carried one do.

Each writes what that model was trained on: its own markers for roles and turns.
"""

from __future__ import annotations

from typing import Final

LLAMA_3: Final = (
    "{{- bos_token -}}{%- for message in messages -%}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' -}}"
    "{{- (message['content'] | trim) + '<|eot_id|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}{%- endif -%}"
)

# A system message has no marker of its own: it stands before the first request.
MISTRAL: Final = (
    "{{- bos_token -}}{%- set note = namespace(text='') -%}{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{%- set note.text = message['content'] + '\n\n' -%}"
    "{%- elif message['role'] == 'assistant' -%}{{- ' ' + (message['content'] | trim) + eos_token -}}"
    "{%- else -%}{{- '[INST] ' + note.text + message['content'] + '[/INST]' -}}{%- set note.text = '' -%}{%- endif -%}"
    "{%- endfor -%}"
)

CODE_LLAMA: Final = (
    "{%- set note = namespace(text='') -%}{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}"
    "{%- set note.text = '<<SYS>>\n' + message['content'] + '\n<</SYS>>\n\n' -%}"
    "{%- elif message['role'] == 'assistant' -%}{{- ' ' + (message['content'] | trim) + ' ' + eos_token -}}"
    "{%- else -%}{{- bos_token + '[INST] ' + note.text + (message['content'] | trim) + ' [/INST]' -}}"
    "{%- set note.text = '' -%}{%- endif -%}"
    "{%- endfor -%}"
)

DEEPSEEK_CODER: Final = (
    "{{- bos_token -}}{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{{- message['content'] + '\n' -}}"
    "{%- elif message['role'] == 'assistant' -%}{{- '### Response:\n' + message['content'] + '\n<|EOT|>\n' -}}"
    "{%- else -%}{{- '### Instruction:\n' + message['content'] + '\n' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '### Response:\n' -}}{%- endif -%}"
)
