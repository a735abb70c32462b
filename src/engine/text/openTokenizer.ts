import type { TensorContainer } from '../formats/container';
import { hasTokenizer, loadTokenizer, parseTokenizer, type TextTokenizer } from './tokenizer';

/** The tokenizer of an opened model: a tokenizer.json that the user put beside a GGUF file comes before the one inside. Errors: `not-found`, `malformed-file`, `unsupported`. */
export async function openTokenizer(
  folders: readonly string[],
  container?: Pick<TensorContainer, 'generatedCompanions' | 'path'>,
): Promise<TextTokenizer> {
  const inside = container?.generatedCompanions && parseTokenizer(container.generatedCompanions, container.path);
  return inside && !(await hasTokenizer(folders)) ? inside : loadTokenizer(folders);
}
