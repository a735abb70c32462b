import path from 'node:path';
import { Template } from '@huggingface/jinja';
import { LoomweightError } from '../../protocol/errors';
import { readText } from '../formats/files/readText';
import type { TextTokenizer } from './tokenizer';

/** The chat template of a model: chat_template.jinja in the first of the folders that has one, otherwise that of tokenizer_config. Undefined if there is none. */
export async function readChatTemplate(folders: readonly string[], tokenizer: TextTokenizer): Promise<string | undefined> {
  for (const folder of folders) {
    const text = await readText(path.join(folder, 'chat_template.jinja')).catch((error: unknown) => {
      if (LoomweightError.is(error, 'not-found')) return undefined;
      throw error;
    });
    if (text !== undefined) return text;
  }
  return tokenizer.chatTemplate;
}

/**
 * The text for one message of a user that the model is to answer, as transformers' `apply_chat_template` with `add_generation_prompt`. It contains the special tokens that the template writes, and
 * gets no others. Errors: `unsupported` for a template that cannot be applied.
 */
export function fillChatTemplate(template: string, message: string, tokenizer: TextTokenizer): string {
  try {
    return new Template(template).render({
      messages: [{ role: 'user', content: message }],
      add_generation_prompt: true,
      bos_token: tokenizer.specialToken('bos_token') ?? '',
      eos_token: tokenizer.specialToken('eos_token') ?? '',
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LoomweightError(
      'unsupported',
      `The chat template of the model cannot be applied: ${reason} Continue the prompt as it is, without the template (raw).`,
      {},
      { cause: error },
    );
  }
}
