import type { Field, FieldRule } from './fields';
import type { MethodDescription } from './methods';
import type { ReportPageView } from './panels/reportPage';

/** A kind of step as forms, documents and completions see it. */
export interface StepKindDescription {
  /** `kind` in recipes, specifications and reports. */
  readonly id: string;
  /** As people call it: `Learn bits`. */
  readonly label: string;
  /** One or two sentences. */
  readonly summary: string;
  readonly fields: readonly Field[];
  readonly rules: readonly FieldRule[];
  /** What `method` may name. */
  readonly methods: readonly MethodDescription[];
  /** Later steps may name the step as their model. */
  readonly writesModel: boolean;
}

/** The method that a step's values name, or the default of its kind. Undefined for kinds without methods and for unknown methods. */
export function chosenMethod(
  fields: readonly Field[],
  methods: readonly MethodDescription[],
  values: Readonly<Record<string, unknown>>,
): MethodDescription | undefined {
  const type = fields.find((field) => field.type.kind === 'method')?.type;
  const id = values['method'] ?? (type?.kind === 'method' ? type.default : undefined);
  return methods.find((method) => method.id === id);
}

/** A form of a kind's fields as it has been filled in. Paths are absolute; fields that were left out are missing. */
export interface StepForm {
  readonly kind: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** What a job is called and what may be done with it, made from its specification by its kind. */
export interface JobDescription {
  /** `Compress loom-base`. */
  readonly title: string;
  /** What it works with: `rtn, onnx-fast`. */
  readonly subtitle: string;
  /** What it writes, absolute; absent if it only reads. */
  readonly output?: string;
  /** Set where a model is written: it has layers to look at, while the job runs and afterwards. */
  readonly model?: {
    /** The model that it is made from. */
    readonly source: string;
    /** Method and formats: `rtn, onnx-fast`. */
    readonly method: string;
  };
  /** What opens on a click: layers and their bits, progress with curves and log, or the report once it is there. */
  readonly opens: 'layers' | 'progress' | 'report';
  /** Where an interrupted run leaves what `resume: true` in the specification continues from. */
  readonly checkpoint?: string;
}

/** A finished job's report as people see it. */
export interface ReportView {
  /** In a few words: `5 bits · 2.00 MiB`. */
  readonly outcome: string;
  readonly page: ReportPageView;
}
