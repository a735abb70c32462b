import { floatDTypes } from '../../protocol/dtypes';
import type { TensorRole } from '../../protocol/model';
import type { TensorEntry } from '../formats/container';

/** What a tensor is by its name and shape, where no architecture and no graph says it. */
export interface GuessedRole {
  readonly role: TensorRole;
  /** Set for what is left alone by its name: the part of the name that says so. A filter with this word in it asks for the tensor. */
  readonly leftAlone?: { readonly kind: 'embedding' | 'head' | 'router' | 'constant'; readonly word: string };
}

/** A kind of tensors that is left alone, and how its names look. The first group is the word that a filter must contain to ask for the tensor. */
interface NameRule {
  readonly kind: NonNullable<GuessedRole['leftAlone']>['kind'];
  readonly pattern: RegExp;
}

/** Words that are whole parts of a name between dots or slashes. */
const part = (words: string): RegExp => new RegExp(`(?:^|[./])(${words})(?=[./]|$)`, 'i');
/** The last part of a name. */
const last = (words: string): RegExp => new RegExp(`(?:^|[./])(${words})$`, 'i');

/** Names in transformers, timm, torchvision, GGUF and older exports, compared without `.weight`, `.kernel` and `.embedding` at their end; the first match wins. */
const rules: readonly NameRule[] = [
  // Position biases, state matrices and other tables that are no weights of a product.
  {
    kind: 'constant',
    pattern: part(
      'relative_attention_bias|relative_position_bias\\w*|relative_bias|rel_pos\\w*|A_log|ssm_[ad]|prompts?|latents?|(?:query|memory|register|prompt)_tokens|ssm_\\w*conv1d|inv_freq|rotary_emb|' +
        'mel_\\w+|\\w*_basis\\w*|\\w*stft\\w*|\\w*dft\\w*|\\w*fbank\\w*|codebooks?|running_mean|running_var|time_(?:decay|first|mix\\w*|maa\\w*|faaaa)',
    ),
  },
  { kind: 'router', pattern: part('routers?|gating') },
  { kind: 'router', pattern: last('gate_inp\\w*|ffn_gate_inp\\w*|shared_expert_gate|gates?|wg') },
  { kind: 'embedding', pattern: part('\\w*embed\\w*|\\w*embd|wte|wpe|shared|emb|\\w+_emb|token_types?') },
  {
    kind: 'head',
    pattern: part(
      '\\w*lm_head|mlm_head|lm_logits|lm_predictions?|predictions|classifiers?|class_predictor|classification_head|qa_outputs|score|logits(?:_layer)?|' +
        'head_dist|aux_head|vocab_projection|last_linear',
    ),
  },
  { kind: 'head', pattern: last('head') },
  // As the first part of a name only: inside of blocks the same words name attention heads and ordinary layers.
  { kind: 'head', pattern: /^((?:\w+_)?heads?)[./]/i },
  { kind: 'head', pattern: /^(?:model\.)?(output|proj_out|fc|out)$/i },
];

/** Last words of the names of weights. */
const weightName = /(?:^|[._/])(weights?(?:_\w+)?|kernel|w\d*|\w*(?:proj|linear|dense|matmul|fc)\w*)$/i;

/** Weights of all experts in one tensor: its first axis is no output axis. */
const stackedExperts = part('\\w*_exps|\\w*experts?');

/** The role of a tensor whose architecture is not known. Matrices are linear layers and tensors of three to five axes convolutions, unless their names say otherwise. */
export function guessRole({ name, shape, dtype }: Pick<TensorEntry, 'name' | 'shape' | 'dtype'>): GuessedRole {
  if (!floatDTypes.includes(dtype)) return { role: 'other' };
  if (shape.length < 2) return { role: /norm/i.test(name) ? 'norm' : 'bias' };
  if (/(?:^|[._/])bias$/.test(name)) return { role: 'bias' };
  const stem = name.replace(/[._/](weight|kernel|embedding)$/, '');
  for (const { kind, pattern } of rules) {
    const word = pattern.exec(stem)?.[1];
    if (word === undefined) continue;
    return { role: kind === 'embedding' || kind === 'head' ? kind : 'other', leftAlone: { kind, word } };
  }
  if (shape.length === 2) return { role: 'linear' };
  if (stackedExperts.test(stem)) return { role: 'other' };
  if (shape.length === 4) return { role: 'convolution' };
  // Other parameters have three or five axes as well.
  return shape.length <= 5 && weightName.test(name) ? { role: 'convolution' } : { role: 'other' };
}
