import type { AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto } from './generated/onnx';

/** True for what belongs to the standard operators: a node, or an entry of the opset imports. */
export function isStandard({ domain }: { readonly domain: string }): boolean {
  return domain === '' || domain === 'ai.onnx';
}

/** Visits every tensor of a model: in initialisers, attributes, bodies, functions, sparse tensors and training graphs. */
export function eachTensor(model: ModelProto, visit: (tensor: TensorProto) => void): void {
  const sparse = (tensor: SparseTensorProto) => {
    if (tensor.values) visit(tensor.values);
    if (tensor.indices) visit(tensor.indices);
  };
  const attribute = (item: AttributeProto) => {
    if (item.t) visit(item.t);
    item.tensors.forEach(visit);
    if (item.sparseTensor) sparse(item.sparseTensor);
    item.sparseTensors.forEach(sparse);
  };
  const graph = (item: GraphProto) => {
    item.initializer.forEach(visit);
    item.sparseInitializer.forEach(sparse);
  };
  eachGraph(model, graph);
  eachNode(model, (node) => node.attribute.forEach(attribute));
  for (const definition of model.functions) definition.attributeProto.forEach(attribute);
}

/** The graphs in an attribute. */
export function graphsOf({ g, graphs }: AttributeProto): readonly GraphProto[] {
  return g ? [g, ...graphs] : graphs;
}

/** The graphs in the attributes of a node, without those of the nodes in them. */
export function bodiesOf(node: NodeProto): readonly GraphProto[] {
  return node.attribute.flatMap(graphsOf);
}

/** Visits every graph in the attributes of a node: its bodies, and those of the nodes in them. */
export function eachGraphOfNode(node: NodeProto, visit: (graph: GraphProto) => void): void {
  for (const body of bodiesOf(node)) {
    visit(body);
    for (const inner of body.node) eachGraphOfNode(inner, visit);
  }
}

/** Visits every graph of a model: the main one, bodies, training graphs. */
export function eachGraph(model: ModelProto, visit: (graph: GraphProto) => void): void {
  const nodes = (list: readonly NodeProto[]) => list.forEach((node) => eachGraphOfNode(node, visit));
  const graph = (item: GraphProto) => {
    visit(item);
    nodes(item.node);
  };
  if (model.graph) graph(model.graph);
  for (const training of model.trainingInfo) {
    if (training.initialization) graph(training.initialization);
    if (training.algorithm) graph(training.algorithm);
  }
  for (const definition of model.functions) nodes(definition.node);
}

/** Visits every node of a model, including those in bodies and functions. */
export function eachNode(model: ModelProto, visit: (node: NodeProto) => void): void {
  eachGraph(model, (graph) => graph.node.forEach(visit));
  for (const definition of model.functions) definition.node.forEach(visit);
}

/** The nodes that `eachNode` visits, as a list. */
export function nodesOf(model: ModelProto): readonly NodeProto[] {
  const nodes: NodeProto[] = [];
  eachNode(model, (node) => nodes.push(node));
  return nodes;
}
