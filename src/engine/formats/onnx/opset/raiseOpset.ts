import { create } from '@bufbuild/protobuf';
import { LoomweightError } from '../../../../protocol/errors';
import type { ConstantData } from '../../../graph/types';
import { encodeTensor, irVersionFor } from '../encodeModel';
import { OperatorSetIdProtoSchema, type GraphProto, type ModelProto, type OperatorSetIdProto } from '../generated/onnx';
import { newNodeMessage } from '../edits';
import { eachGraph, eachGraphOfNode, isStandard } from '../walk';
import { knownValues, type NodeList } from './knownValues';
import { OldNode, type KnownValues, type NodeScope, type UpgradePurpose } from './oldNode';
import { operatorUpgrades } from './operatorUpgrades';

/** Changes of one list of nodes, not made yet. */
interface Change {
  readonly list: NodeList;
  readonly old: OldNode;
  readonly apply: () => void;
}

/**
 * Upgrades the standard operators of a model, its bodies and its functions to a later opset in place. Most operators only gained types and optional attributes; the
 * others are rewritten (`operatorUpgrades`). Where a node has no form in the new opset, `unsupported` is thrown with its name, and the model is unchanged.
 * For training, nodes keep what only counts there.
 */
export function raiseOpset(
  model: ModelProto,
  version: number,
  uniqueName: (stem: string) => string,
  purpose: UpgradePurpose = 'inference',
): void {
  const current = opsetOf(model.opsetImport);
  if (current >= version) return;
  const values = knownValues(model);
  const changes: Change[] = [];
  const inGraph = (graph: GraphProto, from: number) => {
    const scope: NodeScope = {
      purpose,
      uniqueName,
      constant: (stem, data) => {
        const name = uniqueName(stem);
        graph.initializer.push(encodeTensor(data, name));
        return name;
      },
    };
    changes.push(...planNodes(graph, { current: from, version }, values(graph), scope));
  };
  for (const graph of graphsOf(model)) inGraph(graph, current);
  const outdated = model.functions.filter(({ opsetImport }) => opsetOf(opsetImport, version) < version);
  for (const definition of outdated) {
    const from = opsetOf(definition.opsetImport, version);
    changes.push(...planNodes(definition, { current: from, version }, values(definition), functionScope(definition, uniqueName, purpose)));
    for (const node of definition.node) eachGraphOfNode(node, (graph) => inGraph(graph, from));
  }
  for (const { apply } of changes) apply();
  placeNodes(changes);
  for (const definition of outdated) setOpset(definition.opsetImport, version);
  setOpset(model.opsetImport, version);
  const ir = BigInt(irVersionFor(version));
  if (model.irVersion < ir) model.irVersion = ir;
}

/** The graphs that the model's own opset applies to: all but bodies inside functions. */
function graphsOf(model: ModelProto): readonly GraphProto[] {
  const inFunctions = new Set<GraphProto>();
  for (const { node } of model.functions) for (const item of node) eachGraphOfNode(item, (graph) => void inFunctions.add(graph));
  const graphs: GraphProto[] = [];
  eachGraph(model, (graph) => void (inFunctions.has(graph) || graphs.push(graph)));
  return graphs;
}

function planNodes(
  list: NodeList,
  range: { readonly current: number; readonly version: number },
  values: KnownValues,
  scope: NodeScope,
): readonly Change[] {
  if (range.current < 7 && list.node.some(isStandard)) throw cannot(range, 'it is older than opset 7');
  return list.node.flatMap((node): readonly Change[] => {
    const upgrade = isStandard(node) ? operatorUpgrades.get(node.opType) : undefined;
    if (upgrade === undefined) return [];
    const old = new OldNode(node, values, range, scope);
    const made = upgrade(old);
    if (typeof made === 'function') return [{ list, old, apply: made }];
    if (made === undefined) return [];
    throw cannot(range, `operator ${node.opType} (node '${node.name || (node.output[0] ?? '')}'): ${made.reason}`, made.remedy);
  });
}

/** Puts the nodes that upgrades made beside theirs. */
function placeNodes(changes: readonly Change[]): void {
  const places = new Map(changes.map(({ old }) => [old.node, old]));
  for (const list of new Set(changes.filter(({ old }) => old.before.length + old.after.length > 0).map((change) => change.list)))
    list.node = list.node.flatMap((node) => {
      const old = places.get(node);
      return old ? [...old.before, node, ...old.after] : [node];
    });
}

/** A function has no initialisers: its constants are nodes in front of all others. */
function functionScope(list: NodeList, uniqueName: (stem: string) => string, purpose: UpgradePurpose): NodeScope {
  return {
    purpose,
    uniqueName,
    constant: (stem: string, data: ConstantData) => {
      const name = uniqueName(stem);
      const attributes = { value: { kind: 'tensor', value: data } } as const;
      list.node.unshift(newNodeMessage({ op: 'Constant', inputs: [], outputs: [name], attributes }, uniqueName(stem)));
      return name;
    },
  };
}

function opsetOf(imports: readonly OperatorSetIdProto[], fallback = 1): number {
  return Number(imports.find(isStandard)?.version ?? fallback);
}

function setOpset(imports: OperatorSetIdProto[], version: number): void {
  const entry = imports.find(isStandard);
  if (entry === undefined) imports.push(create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(version) }));
  else entry.version = BigInt(version);
}

function cannot(
  { current, version }: { readonly current: number; readonly version: number },
  reason: string,
  remedy = `Export it again with opset ${version}.`,
): LoomweightError {
  return new LoomweightError(
    'unsupported',
    `The model uses opset ${current} and cannot be upgraded to the required opset ${version}: ${reason}. ${remedy}`,
    { opset: current, wanted: version },
  );
}
