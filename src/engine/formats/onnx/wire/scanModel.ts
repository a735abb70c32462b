import type { Diagnostic } from '../../../../protocol/model';
import { isStandard } from '../walk';
import { callKey, checkFunctionCalls, type CallCounts } from './functionCalls';
import { ScanReport } from './scanReport';
import { scanTensor, type ScannedTensor } from './scanTensor';
import type { WireField, WireReader } from './wireReader';

/** The result of one pass over the wire format. Weights are skipped; only their positions are recorded. */
export interface ScannedModel {
  readonly tensors: readonly ScannedTensor[];
  /** Version by domain; the standard domain is the empty string. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly irVersion: number;
  readonly producer: string;
  readonly graphName: string;
  /** Positions of the ValueInfoProto messages of the main graph's inputs and outputs. */
  readonly inputs: readonly WireField[];
  readonly outputs: readonly WireField[];
  /** Number of nodes by operator, including bodies and functions. */
  readonly operators: Readonly<Record<string, number>>;
  readonly nodes: number;
  readonly functions: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly diagnostics: readonly Diagnostic[];
}

/** Nesting of bodies: real models have two or three levels. */
const deepestGraph = 30;
const mostValueInfos = 100_000;
const mostOperators = 10_000;
const mostMetadata = 1_000;

/**
 * Scans a whole model: ModelProto, its graph, bodies, functions and training graphs. Field numbers are those of onnx-ml.proto. Throws
 * `malformed-file` if the wire format is broken; a bad tensor is a diagnostic.
 */
export function scanModel(reader: WireReader): ScannedModel {
  const { window } = reader;
  const report = new ScanReport(window.path);
  const scan = new Scan(reader, report);
  if (window.size === 0) throw reader.malformed(0, 'the file is empty');
  reader.eachField(0, window.size, (field) => scan.model(field));
  if (!scan.hasGraph) throw reader.malformed(0, 'it contains no graph');
  checkFunctionCalls(window.path, scan.callsOfGraph, scan.callsOfFunctions);
  return { ...scan.result(), diagnostics: report.diagnostics };
}

class Scan {
  hasGraph = false;
  private readonly tensors: ScannedTensor[] = [];
  private readonly opsets: Record<string, number> = {};
  private readonly operators = new Map<string, number>();
  private readonly metadata = new Map<string, string>();
  private readonly inputs: WireField[] = [];
  private readonly outputs: WireField[] = [];
  private irVersion = 0;
  private producer = '';
  private graphName = '';
  private nodes = 0;
  private functions = 0;
  /** Calls of the graph or function that is being scanned. */
  private calls: CallCounts = new Map();
  readonly callsOfGraph: CallCounts = this.calls;
  readonly callsOfFunctions = new Map<string, CallCounts>();

  constructor(
    private readonly reader: WireReader,
    private readonly report: ScanReport,
  ) {}

  result(): Omit<ScannedModel, 'diagnostics'> {
    return {
      tensors: this.tensors,
      opsets: this.opsets,
      irVersion: this.irVersion,
      producer: this.producer,
      graphName: this.graphName,
      inputs: this.inputs,
      outputs: this.outputs,
      operators: Object.fromEntries([...this.operators].sort(([a], [b]) => (a < b ? -1 : 1))),
      nodes: this.nodes,
      functions: this.functions,
      metadata: Object.fromEntries(this.metadata),
    };
  }

  model(field: WireField): void {
    switch (field.number) {
      case 1:
        this.irVersion = Number(this.reader.int64(field));
        return;
      case 2:
        this.producer = this.text(field, 'producer name');
        return;
      case 7:
        this.hasGraph = true;
        return this.graph(field, '', 0);
      case 8:
        return this.opset(field);
      case 14:
        return this.metadataEntry(field);
      case 20:
        // Training graphs: field 1 is the initialisation, 2 the algorithm.
        this.reader.requireBytes(field);
        return this.reader.eachField(field.start, field.end, (inner) => {
          if (inner.number === 1 || inner.number === 2)
            this.graph(inner, inner.number === 1 ? 'training/initialization/' : 'training/algorithm/', 1);
        });
      case 25:
        return this.function(field);
    }
  }

  /** `scope` is the path of names that leads to a body: it makes the names of its tensors unique. */
  private graph(graph: WireField, scope: string, depth: number): void {
    this.reader.requireBytes(graph);
    if (depth > deepestGraph) throw this.reader.malformed(graph.tag, `graphs are nested more than ${deepestGraph} deep`);
    let index = 0;
    this.reader.eachField(graph.start, graph.end, (field) => {
      switch (field.number) {
        case 1:
          this.node(field, scope, index, depth);
          index += 1;
          return;
        case 2:
          if (depth === 0) this.graphName = this.text(field, 'graph name');
          return;
        case 5:
          return this.tensor(field, scope);
        case 11:
        case 12:
          return depth === 0 ? this.valueInfo(field, field.number === 11 ? this.inputs : this.outputs) : undefined;
        case 15:
          return this.sparse(field, scope);
      }
    });
  }

  private valueInfo(field: WireField, into: WireField[]): void {
    this.reader.requireBytes(field);
    if (into.length < mostValueInfos) into.push(field);
    else
      this.report.add(
        'too-many-values',
        'warning',
        `The model has more than ${mostValueInfos} inputs or outputs; the rest are not listed.`,
        field.tag,
      );
  }

  /** Counts the operator and looks for tensors and graphs in attributes. */
  private node(node: WireField, scope: string, index: number, depth: number): void {
    this.reader.requireBytes(node);
    this.nodes += 1;
    let op = '';
    let domain = '';
    let name = '';
    let output = '';
    const attributes: WireField[] = [];
    this.reader.eachField(node.start, node.end, (field) => {
      if (field.number === 2 && output === '') output = this.text(field, 'output name');
      else if (field.number === 3) name = this.text(field, 'node name');
      else if (field.number === 4) op = this.text(field, 'operator name');
      else if (field.number === 5) attributes.push(field);
      else if (field.number === 7) domain = this.text(field, 'domain');
    });
    const title = isStandard({ domain }) ? op : `${domain}.${op}`;
    if (this.operators.has(title) || this.operators.size < mostOperators) this.operators.set(title, (this.operators.get(title) ?? 0) + 1);
    const key = callKey(domain, op);
    this.calls.set(key, (this.calls.get(key) ?? 0) + 1);
    const label = name || output || `${op}#${index}`;
    for (const attribute of attributes) this.attribute(attribute, { scope, label, output, isConstant: op === 'Constant', depth });
  }

  private attribute(
    attribute: WireField,
    node: { readonly scope: string; readonly label: string; readonly output: string; readonly isConstant: boolean; readonly depth: number },
  ): void {
    this.reader.requireBytes(attribute);
    let name = '';
    this.reader.eachField(attribute.start, attribute.end, (field) => {
      if (field.number === 1) name = this.text(field, 'attribute name');
      // A tensor of a Constant is named after the value; others after node and attribute.
      else if (field.number === 5 || field.number === 10)
        this.nodeTensor(field, node.scope, node.isConstant && node.output !== '' ? node.output : `${node.label}/${name || 'value'}`);
      else if (field.number === 6 || field.number === 11)
        this.graph(field, `${node.scope}${node.label}/${name || 'body'}/`, node.depth + 1);
      else if (field.number === 22 || field.number === 23) this.sparse(field, `${node.scope}${node.label}/`);
    });
  }

  private function(field: WireField): void {
    this.reader.requireBytes(field);
    this.functions += 1;
    let name = `function#${this.functions}`;
    let domain = '';
    const nodes: WireField[] = [];
    this.reader.eachField(field.start, field.end, (inner) => {
      if (inner.number === 1) name = this.text(inner, 'function name');
      else if (inner.number === 7) nodes.push(inner);
      else if (inner.number === 10) domain = this.text(inner, 'function domain');
    });
    const outer = this.calls;
    this.calls = new Map();
    nodes.forEach((node, index) => this.node(node, `${name}/`, index, 1));
    this.callsOfFunctions.set(callKey(domain, name), this.calls);
    this.calls = outer;
  }

  private tensor(field: WireField, scope: string): void {
    if (this.report.isFull(this.tensors.length, field.tag)) return;
    const tensor = scanTensor(this.reader, field, this.report);
    this.tensors.push(scope === '' ? tensor : { ...tensor, name: `${scope}${tensor.name}` });
  }

  /** Scalars and short lists inside nodes are parameters, not weights: they are not listed. */
  private nodeTensor(field: WireField, scope: string, name: string): void {
    if (this.report.isFull(this.tensors.length, field.tag)) return;
    const tensor = scanTensor(this.reader, field, this.report);
    const elements = tensor.shape.reduce((product, length) => product * length, 1);
    const isFloat = tensor.dtype !== undefined && /float/.test(tensor.dtype);
    if (isFloat ? tensor.shape.length > 0 : elements >= 16) this.tensors.push({ ...tensor, name: `${scope}${name}` });
  }

  /** Values and indices of a sparse tensor are separate tensors. */
  private sparse(field: WireField, scope: string): void {
    this.reader.requireBytes(field);
    let name = '';
    this.reader.eachField(field.start, field.end, (inner) => {
      if (inner.number !== 1 && inner.number !== 2) return;
      if (this.report.isFull(this.tensors.length, inner.tag)) return;
      const tensor = scanTensor(this.reader, inner, this.report);
      // Only the values have the name of the sparse tensor.
      if (inner.number === 1) name = tensor.name;
      this.tensors.push({ ...tensor, name: `${scope}${inner.number === 1 ? name || 'sparse' : `${name || 'sparse'}/indices`}` });
    });
  }

  private opset(field: WireField): void {
    this.reader.requireBytes(field);
    let domain = '';
    let version = 0;
    this.reader.eachField(field.start, field.end, (inner) => {
      if (inner.number === 1) domain = this.text(inner, 'domain');
      else if (inner.number === 2) version = Number(this.reader.int64(inner));
    });
    if (Object.keys(this.opsets).length < mostMetadata) this.opsets[domain === 'ai.onnx' ? '' : domain] = version;
  }

  private metadataEntry(field: WireField): void {
    this.reader.requireBytes(field);
    if (this.metadata.size >= mostMetadata) return;
    let key = '';
    let value = '';
    this.reader.eachField(field.start, field.end, (inner) => {
      if (inner.number === 1) key = this.text(inner, 'metadata key');
      else if (inner.number === 2) value = this.text(inner, 'metadata value');
    });
    this.metadata.set(key, value);
  }

  private text(field: WireField, what: string): string {
    return this.report.text(this.reader, field, what);
  }
}
