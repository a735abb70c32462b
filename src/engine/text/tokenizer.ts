import path from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { LoomweightError } from '../../protocol/errors';
import { checkNesting, readText } from '../formats/files/readText';
import { Encoder } from './encoding/encoder';

type JsonObject = Readonly<Record<string, unknown>>;

/** A model's tokenizer: tokenizer.json applied as written, never an architecture's default pre-tokeniser. */
export class TextTokenizer {
  private readonly encoder: Encoder;
  private decoder: Tokenizer | undefined;

  /**
   * `file` is tokenizer.json parsed, `settings` tokenizer_config.json if there is one. Errors: `unsupported` for a part of the file that is not applied exactly,
   * `malformed-file`.
   */
  constructor(
    private readonly file: JsonObject,
    private readonly settings: JsonObject = {},
  ) {
    this.encoder = new Encoder(file);
  }

  /** Token ids of a text, without added special tokens. */
  encode(text: string): readonly number[] {
    return this.encoder.encode(text);
  }

  /** The text of token ids, without special tokens. */
  decode(ids: readonly number[]): string {
    // The library would let tokenizer_config change the normalisation; only tokenizer.json counts here.
    this.decoder ??= new Tokenizer(this.file, {});
    return this.decoder.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  }

  /**
   * The token that starts a text: `bos_token` of tokenizer_config, otherwise `bos_token_id` of config; undefined if neither names one.
   * `source` names the file, for reports.
   */
  beginning(configBos: number | undefined): { readonly id: number; readonly source: string } | undefined {
    const content = this.specialToken('bos_token');
    if (content !== undefined) {
      const id = this.encoder.idOf(content);
      if (id !== undefined) return { id, source: `bos_token '${content}' of tokenizer_config` };
    }
    return configBos === undefined ? undefined : { id: configBos, source: 'bos_token_id of config' };
  }

  /** The text of a special token that tokenizer_config names. */
  specialToken(key: 'bos_token' | 'eos_token'): string | undefined {
    const token = this.settings[key];
    const content = typeof token === 'object' && token !== null ? (token as JsonObject)['content'] : token;
    return typeof content === 'string' ? content : undefined;
  }

  /** `chat_template` of tokenizer_config; of several the one named `default`. */
  get chatTemplate(): string | undefined {
    const given = this.settings['chat_template'];
    if (!Array.isArray(given)) return typeof given === 'string' ? given : undefined;
    const found: unknown = given.find((each: Partial<JsonObject> | null) => each?.['name'] === 'default');
    const template = (found as Partial<JsonObject> | undefined)?.['template'];
    return typeof template === 'string' ? template : undefined;
  }

  /** False if tokenizer_config says that a text gets no start token (`add_bos_token`). */
  get addsBeginning(): boolean {
    return this.settings['add_bos_token'] !== false;
  }
}

/** Loads the tokenizer of a model: tokenizer.json in the first of the folders that has one. Errors: `not-found`, `malformed-file`. */
export async function loadTokenizer(folders: readonly string[]): Promise<TextTokenizer> {
  for (const folder of folders) {
    const file = await readJson(path.join(folder, 'tokenizer.json'));
    if (file === undefined) continue;
    try {
      return new TextTokenizer(file, (await readJson(path.join(folder, 'tokenizer_config.json'))) ?? {});
    } catch (error) {
      if (error instanceof LoomweightError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new LoomweightError(
        'malformed-file',
        `${path.join(folder, 'tokenizer.json')} cannot be used: ${reason}.`,
        { folder },
        { cause: error },
      );
    }
  }
  throw new LoomweightError(
    'not-found',
    `Reading text needs the model's tokenizer.json, which is not in ${folders.join(' or ')}. Copy it from the original model.`,
    { folders },
  );
}

/** True if one of the folders has a tokenizer.json. */
export async function hasTokenizer(folders: readonly string[]): Promise<boolean> {
  for (const folder of folders) if ((await readJson(path.join(folder, 'tokenizer.json'))) !== undefined) return true;
  return false;
}

/** A tokenizer from the texts of its files, for a model that embeds it (GGUF). `model` names it in messages. */
export function parseTokenizer(files: ReadonlyMap<string, string>, model: string): TextTokenizer | undefined {
  const text = files.get('tokenizer.json');
  if (text === undefined) return undefined;
  const settings = files.get('tokenizer_config.json');
  return new TextTokenizer(
    parseJson(text, `the tokenizer of ${model}`),
    settings === undefined ? {} : parseJson(settings, `the tokenizer settings of ${model}`),
  );
}

async function readJson(file: string): Promise<JsonObject | undefined> {
  let text: string;
  try {
    text = await readText(file);
  } catch (error) {
    if (error instanceof LoomweightError && error.code === 'not-found') return undefined;
    throw error;
  }
  return parseJson(text, file);
}

function parseJson(text: string, file: string): JsonObject {
  checkNesting(text, file);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {
    // Reported below, together with values that are not objects.
  }
  throw new LoomweightError('malformed-file', `${file} must contain a JSON object. Download it again.`, { path: file });
}
