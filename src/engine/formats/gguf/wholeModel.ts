import { basename } from 'node:path';
import { unsupportedContent } from '../malformed';
import type { GgufContainer } from './openGguf';

/** Names that llama.cpp's tool gives to the files of a split model. */
const splitName = /-(\d{5})-of-(\d{5})\.gguf$/i;

/**
 * Refuses a GGUF file that is no whole model, by what it is: one file of a split model, a vocabulary without weights, an adapter, an importance matrix. Such files can be looked at. Errors:
 * `unsupported`.
 */
export function checkWholeModel({ path, values, tensors }: GgufContainer): void {
  const named = splitName.exec(path);
  const count = Number(values.get('split.count') ?? named?.[2] ?? 1);
  if (count > 1) {
    const at = values.get('split.no') ?? (named ? Number(named[1]) - 1 : undefined);
    const which = typeof at === 'number' ? `file ${at + 1} of ${count}` : `one of ${count} files`;
    throw unsupportedContent(
      path,
      'split-model',
      `${path} is ${which} of a split model. Join them with 'llama-gguf-split --merge ${basename(path).replace(/-\d{5}-of-/, '-00001-of-')} model.gguf' of llama.cpp, then use the joined file.`,
    );
  }
  const type = values.get('general.type');
  if (typeof type === 'string' && type !== 'model')
    throw unsupportedContent(
      path,
      'not-a-whole-model',
      `${path} contains ${kinds[type] ?? `something other than a model (general.type is ${JSON.stringify(type.slice(0, 40))})`}. Use the GGUF file of the model itself.`,
    );
  if (tensors.size === 0)
    throw unsupportedContent(
      path,
      'no-weights',
      values.has('tokenizer.ggml.tokens')
        ? `${path} contains only a vocabulary, no weights. Use the GGUF file of the model itself.`
        : `${path} contains no weights, only metadata. Download or convert the model again.`,
    );
}

const kinds: Readonly<Record<string, string | undefined>> = {
  adapter: 'an adapter (LoRA), not the model that it belongs to',
  vocab: 'only a vocabulary, no weights',
  mmproj: 'the image or audio part of a model',
  imatrix: 'an importance matrix',
};
