import { describeAllowed } from '../../common/params';
import type { ParamSpec } from '../../common/params';
import type { MethodDescription } from '../../protocol/methods';
import { settingFields, stepFields, stepKinds, topLevelKeys } from './fields';
import type { Field, StepKind } from './fields';

/** A JSON Schema or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const text: JsonSchema = { type: 'string', minLength: 1 };

/** JSON Schema (draft 7, which editors know) of `*.loom.yaml`, from the same fields as the checks. */
export function recipeJsonSchema(methods: readonly MethodDescription[]): JsonSchema {
  const steps = stepKinds.map((kind) => stepSchema(kind, methods));
  const parts: Readonly<Record<string, JsonSchema>> = {
    name: { type: 'string' },
    inputs: { type: 'object', propertyNames: { pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$' }, additionalProperties: text },
    settings: objectSchema(settingFields, methods),
    steps: { type: 'array', minItems: 1, items: { oneOf: steps } },
  };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Loomweight recipe',
    description: 'Steps that inspect, compress, learn, evaluate and compare models. Paths are relative to the file.',
    type: 'object',
    additionalProperties: false,
    required: topLevelKeys.filter(({ required }) => required).map(({ key }) => key),
    properties: Object.fromEntries(topLevelKeys.map(({ key, doc }) => [key, { description: doc, ...parts[key] }])),
  };
}

function stepSchema({ kind, doc, fields, methods: family }: StepKind, methods: readonly MethodDescription[]): JsonSchema {
  const all = objectSchema(
    [...stepFields, ...fields],
    methods.filter((method) => method.family === family),
  );
  const properties = { ...(all['properties'] as Readonly<Record<string, JsonSchema>>), kind: { const: kind, description: doc } };
  const exclusive = kind === 'evaluate' ? { oneOf: [{ required: ['text'] }, { required: ['data'] }] } : {};
  return { title: kind, description: doc, ...all, properties, ...exclusive };
}

function objectSchema(fields: readonly Field[], methods: readonly MethodDescription[]): JsonSchema {
  const required = fields.filter((field) => field.required).map(({ key }) => key);
  return {
    type: 'object',
    additionalProperties: false,
    ...(required.length > 0 ? { required } : {}),
    properties: Object.fromEntries(fields.map((field) => [field.key, { description: field.doc, ...fieldSchema(field, methods) }])),
  };
}

function fieldSchema({ type }: Field, methods: readonly MethodDescription[]): JsonSchema {
  switch (type.kind) {
    case 'value':
      return valueSchema(type.spec);
    case 'size':
      return { type: ['string', 'integer'], examples: ['3GB', '512MiB'] };
    case 'method':
      return { enum: methods.map(({ id }) => id) };
    case 'parameters':
      return parametersSchema(methods);
    case 'texts': {
      const item = type.choices ? { enum: type.choices } : text;
      return { anyOf: [item, { type: 'array', items: item }] };
    }
    case 'columns':
      return { type: 'object', additionalProperties: text };
    case 'overrides':
      return {
        type: 'array',
        items: {
          type: 'object',
          additionalProperties: false,
          required: ['glob', 'parameters'],
          properties: { glob: text, parameters: withPinnedWidths(parametersSchema(methods)) },
        },
      };
    default:
      return text;
  }
}

/** Under a budget an override may also leave tensors alone (16 bits) or prune them (0). */
function withPinnedWidths(schema: JsonSchema): JsonSchema {
  const properties = schema['properties'] as Readonly<Record<string, JsonSchema>>;
  const bits = properties['bits'];
  if (!bits) return schema;
  return { ...schema, properties: { ...properties, bits: { anyOf: [bits, { description: 'Under a budget.', enum: [0, 16] }] } } };
}

/** Parameters of any method: which of them a method takes is for the checks to say. */
function parametersSchema(methods: readonly MethodDescription[]): JsonSchema {
  const byKey = new Map<string, JsonSchema[]>();
  for (const spec of methods.flatMap(({ parameters }) => parameters)) {
    const schemas = byKey.get(spec.key) ?? [];
    const schema = { description: `${spec.doc} ${describeAllowed(spec)}.`, ...valueSchema(spec), default: spec.default };
    if (!schemas.some((other) => JSON.stringify(other) === JSON.stringify(schema))) schemas.push(schema);
    byKey.set(spec.key, schemas);
  }
  const properties = [...byKey].map(([key, schemas]) => [key, schemas.length === 1 ? schemas[0] : { anyOf: schemas }]);
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(properties) as JsonSchema };
}

function valueSchema(spec: ParamSpec): JsonSchema {
  switch (spec.kind) {
    case 'integer':
    case 'number':
      return { type: spec.kind, minimum: spec.min, maximum: spec.max };
    case 'boolean':
      return { type: 'boolean' };
    case 'choice':
      return { enum: spec.choices };
    case 'integer-or-word':
      return { anyOf: [{ type: 'integer', minimum: spec.min, maximum: spec.max }, { enum: spec.words }] };
  }
}
