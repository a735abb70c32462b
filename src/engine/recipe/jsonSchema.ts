import { describeParam } from '../../common/params';
import type { ParamSpec } from '../../common/params';
import type { Field, FieldRule } from '../../protocol/fields';
import type { MethodDescription } from '../../protocol/methods';
import type { StepKind } from '../jobs/stepKind';
import { fieldsOf, settingFields, sharedFields, topLevelKeys } from './fields';

/** A JSON Schema or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const text: JsonSchema = { type: 'string', minLength: 1 };

/** JSON Schema (draft 7, which editors know) of `*.loom.yaml`, from the same fields and rules as the checks. */
export function recipeJsonSchema(kinds: readonly StepKind[]): JsonSchema {
  const parts: Readonly<Record<string, JsonSchema>> = {
    name: { type: 'string' },
    inputs: { type: 'object', propertyNames: { pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$' }, additionalProperties: text },
    settings: objectSchema(settingFields, []),
    steps: { type: 'array', minItems: 1, items: { oneOf: kinds.map((kind) => stepSchema(kind, kinds)) } },
  };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Loomweight recipe',
    description: `Steps: ${kinds.map(({ id }) => id).join(', ')}. Paths are relative to the file.`,
    type: 'object',
    additionalProperties: false,
    required: topLevelKeys.filter(({ required }) => required).map(({ key }) => key),
    properties: Object.fromEntries(topLevelKeys.map(({ key, doc }) => [key, { description: doc, ...parts[key] }])),
  };
}

function stepSchema(kind: StepKind, kinds: readonly StepKind[]): JsonSchema {
  const methods = kind.methods?.() ?? [];
  const all = objectSchema([...sharedFields(kinds), ...fieldsOf(kind)], methods);
  const properties = {
    ...(all['properties'] as Readonly<Record<string, JsonSchema>>),
    kind: { const: kind.id, description: kind.summary },
  };
  const conditions = [...(kind.rules ?? []).flatMap((rule) => ruleSchemas(rule, methods)), ...parameterConditions(kind, methods)];
  return { title: kind.label, description: kind.summary, ...all, properties, ...(conditions.length > 0 ? { allOf: conditions } : {}) };
}

/** A rule between fields as conditions. */
function ruleSchemas(rule: FieldRule, methods: readonly MethodDescription[]): readonly JsonSchema[] {
  const each = rule.keys.map((key) => ({ required: [key] }));
  switch (rule.rule) {
    case 'some':
      return [{ anyOf: each }];
    case 'one':
      return [{ oneOf: each }];
    case 'exclusive':
      return [{ not: { required: rule.keys } }];
    case 'belongs': {
      const calibrated = rule.orStatistics === true ? methods.filter(({ needs }) => needs.length > 0).map(({ id }) => id) : [];
      if (calibrated.length > 0) return [{ if: { anyOf: each }, then: { anyOf: [{ required: [rule.to] }, names(calibrated)] } }];
      return [{ dependencies: Object.fromEntries(rule.keys.map((key) => [key, [rule.to]])) }];
    }
    case 'learnsWidths': {
      const fixed = methods.filter(({ learnsWidths }) => learnsWidths !== true).map(({ id }) => id);
      return [{ if: names(fixed), then: { not: { anyOf: each } } }];
    }
    case 'needsStatistics': {
      const calibrated = methods.filter(({ needs }) => needs.length > 0).map(({ id }) => id);
      return [{ if: { not: names(calibrated) }, then: { not: { anyOf: each } } }];
    }
  }
}

/** The step names one of the methods. */
function names(ids: readonly string[]): JsonSchema {
  return { required: ['method'], properties: { method: { enum: ids } } };
}

/** Each method takes its own parameters; a step that names no method takes those of the default. */
function parameterConditions(kind: StepKind, methods: readonly MethodDescription[]): readonly JsonSchema[] {
  if (methods.length < 2) return [];
  const fallback = kind.fields.flatMap(({ type }) => (type.kind === 'method' ? [type.default] : []))[0];
  return methods.flatMap((method) => {
    const own = ownParameters(method, methods);
    const properties = kind.fields.flatMap(({ key, type }): readonly (readonly [string, JsonSchema])[] => {
      if (type.kind === 'parameters') return [[key, own]];
      return type.kind === 'overrides' ? [[key, { items: { properties: { parameters: withPinnedWidths(own) } } }]] : [];
    });
    if (properties.length === 0) return [];
    const chosen = method.id === fallback ? { properties: { method: { const: method.id } } } : names([method.id]);
    return [{ if: chosen, then: { properties: Object.fromEntries(properties) } }];
  });
}

/** What a method adds to the parameters of all: which keys it has, and limits where another method's differ. */
function ownParameters({ parameters }: MethodDescription, methods: readonly MethodDescription[]): JsonSchema {
  const differs = (spec: ParamSpec) =>
    methods.some((other) =>
      other.parameters.some((each) => each.key === spec.key && JSON.stringify(valueSchema(each)) !== JSON.stringify(valueSchema(spec))),
    );
  return {
    // A list of allowed words must not be empty.
    ...(parameters.length === 0 ? { maxProperties: 0 } : { propertyNames: { enum: parameters.map(({ key }) => key) } }),
    properties: Object.fromEntries(parameters.filter(differs).map((spec) => [spec.key, valueSchema(spec)])),
  };
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

/** Parameters of any of the methods. */
function parametersSchema(methods: readonly MethodDescription[]): JsonSchema {
  const byKey = new Map<string, JsonSchema[]>();
  for (const spec of methods.flatMap(({ parameters }) => parameters)) {
    const schemas = byKey.get(spec.key) ?? [];
    const schema = { description: describeParam(spec), ...valueSchema(spec), default: spec.default };
    if (!schemas.some((other) => JSON.stringify(other) === JSON.stringify(schema))) schemas.push(schema);
    byKey.set(spec.key, schemas);
  }
  const properties = [...byKey].map(([key, schemas]) => [key, schemas.length === 1 ? schemas[0] : { anyOf: schemas }]);
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(properties) as JsonSchema };
}

function valueSchema(spec: ParamSpec): JsonSchema {
  switch (spec.kind) {
    case 'integer':
      return { type: 'integer', minimum: spec.min, maximum: spec.max };
    case 'number': {
      const { min, max, above } = spec;
      return { type: 'number', ...(above ? { exclusiveMinimum: min } : { minimum: min }), ...(max === undefined ? {} : { maximum: max }) };
    }
    case 'boolean':
      return { type: 'boolean' };
    case 'choice':
      return { enum: spec.choices };
    case 'integer-or-word':
      return { anyOf: [{ type: 'integer', minimum: spec.min, maximum: spec.max }, { enum: spec.words }] };
  }
}
