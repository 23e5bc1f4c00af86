#include "trainer_host/trainer/exchange/torch/from_torch.hpp"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/remove_mutation.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/exchange/torch/operators.hpp"
#include "trainer_host/trainer/models/graph_layers.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"

namespace outcrop::exchange {
namespace {

using c10::IValue;
using torch::jit::Block;
using torch::jit::Node;
using NodeValue = torch::jit::Value;

// Answers that sizes and types decide, whatever the values are.
constexpr std::array<std::string_view, 13> about_sizes{
    "aten::size", "aten::dim", "aten::len", "aten::numel", "aten::is_floating_point", "aten::is_complex", "prim::dtype",
    "prim::device", "prim::layout", "prim::is_quantized", "prim::is_cuda", "aten::__contains__", "aten::get_device"};

constexpr std::int64_t most_rounds = 1'000'000;

// "aten::add_" is one, "aten::__getitem__" is not.
bool changes_in_place(std::string_view kind) { return kind.ends_with("_") && !kind.ends_with("__"); }

// What leaves nothing of what was found out so far to be sure of.
class ChangedInPlace : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Walks through a graph with an example.
class Walk {
 public:
  explicit Walk(Graph& graph) : graph_(graph) {}

  void know(const NodeValue* value, Known known) { known_[value] = std::move(known); }
  [[nodiscard]] const Known& known(const NodeValue* value) const { return known_.at(value); }

  void through(const Block* block) {
    for (const Node* node : block->nodes()) visit(const_cast<Node*>(node));
  }

 private:
  void visit(Node* node) {
    const std::string kind = node->kind().toQualString();
    if (node->kind() == torch::jit::prim::If) return choose(node);
    if (node->kind() == torch::jit::prim::Loop) return repeat(node);
    // One answer of several may be refused, and nobody want it.
    const bool of_tuples = kind.starts_with("prim::Tuple");
    std::vector<Known> arguments;
    std::string refused;
    for (const NodeValue* input : node->inputs()) {
      arguments.push_back(known(input));
      if (refused.empty()) refused = of_tuples ? arguments.back().refused : arguments.back().why_refused();
    }
    if (!refused.empty() && kind != "prim::TupleConstruct") return refuse(node, refused);
    try {
      if (!take_built_in(node, kind, arguments)) take_operator(node, kind, arguments);
    } catch (const ChangedInPlace&) {
      throw;
    } catch (const NotExpressible& why) {
      refuse(node, kind + " " + why.what());
    } catch (const std::exception& error) {
      refuse(node, kind + " (" + models::words_of(error).substr(0, 200) + ")");
    }
  }

  // With what it, or what is in it, would have changed: a list that it appends to.
  void refuse(const Node* node, const std::string& why) {
    const Known refused{IValue(), {}, {}, why};
    for (const NodeValue* output : node->outputs()) know(output, refused);
    if (const auto* schema = node->maybeSchema()) {
      for (std::size_t i = 0; i < schema->arguments().size() && i < node->inputs().size(); ++i) {
        const auto* alias = schema->arguments()[i].alias_info();
        if (alias != nullptr && alias->isWrite()) know(node->input(i), refused);
      }
    }
    for (const Block* block : node->blocks()) {
      for (const Node* inner : block->nodes()) refuse(inner, why);
    }
  }

  // A loop over what is constant, as a list of sizes that is put together, is gone through; one that computes is none of ours.
  void repeat(const Node* node) {
    const std::string why = "prim::Loop (a loop)";
    const Block* body = node->blocks()[0];
    std::vector<Known> carried;
    for (const NodeValue* input : node->inputs()) carried.push_back(known(input));
    const bool counted = !carried[0].depends() && !carried[1].depends() && carried[0].why_refused().empty() &&
                         carried[1].why_refused().empty();
    if (!counted || computes(body)) return refuse(node, why);
    for (const Known& one : carried) {
      if (const std::string before = one.why_refused(); !before.empty()) return refuse(node, before);
    }
    const std::int64_t most = std::min<std::int64_t>(carried[0].value.toInt(), most_rounds);
    Known goes_on = carried[1];
    carried.erase(carried.begin(), carried.begin() + 2);
    for (std::int64_t round = 0; round < most && goes_on.value.toBool(); ++round) {
      know(body->inputs()[0], {round});
      for (std::size_t i = 0; i < carried.size(); ++i) know(body->inputs()[i + 1], carried[i]);
      through(body);
      goes_on = known(body->outputs()[0]);
      for (std::size_t i = 0; i < carried.size(); ++i) carried[i] = known(body->outputs()[i + 1]);
      if (!goes_on.why_refused().empty() || goes_on.depends()) return refuse(node, why);
    }
    for (std::size_t i = 0; i < carried.size(); ++i) know(node->outputs()[i], carried[i]);
  }

  [[nodiscard]] static bool computes(const Block* block) {
    for (const Node* node : block->nodes()) {
      for (const NodeValue* output : node->outputs()) {
        if (output->type()->kind() == c10::TypeKind::TensorType) return true;
      }
      for (const Block* inner : node->blocks()) {
        if (computes(inner)) return true;
      }
    }
    return false;
  }

  void choose(const Node* node) {
    const Known& condition = known(node->input(0));
    if (const std::string why = condition.why_refused(); !why.empty()) return refuse(node, why);
    if (condition.depends()) return refuse(node, "prim::If on what depends on the input");
    const Block* block = node->blocks()[condition.value.toBool() ? 0 : 1];
    through(block);
    for (std::size_t i = 0; i < node->outputs().size(); ++i) know(node->outputs()[i], known(block->outputs()[i]));
  }

  // Values that are put together or taken apart, which are the interpreter's own matters.
  bool take_built_in(const Node* node, const std::string& kind, const std::vector<Known>& arguments) {
    if (kind == "prim::Constant") {
      know(node->output(), {*torch::jit::toIValue(node->output())});
      return true;
    }
    if (kind == "prim::GetAttr") return take_attribute(node, arguments.at(0));
    if (kind == "prim::ListConstruct" || kind == "prim::TupleConstruct") return put_together(node, kind, arguments);
    if (kind == "prim::ListUnpack" || kind == "prim::TupleUnpack") return take_apart(node, arguments.at(0));
    if ((kind == "aten::__getitem__" || kind == "prim::TupleIndex") && !arguments[0].elements.empty()) {
      const auto size = static_cast<std::int64_t>(arguments[0].elements.size());
      const std::int64_t at = arguments.at(1).value.toInt();
      know(node->output(), arguments[0].elements.at(static_cast<std::size_t>(at < 0 ? at + size : at)));
      return true;
    }
    return false;
  }

  bool take_attribute(const Node* node, const Known& object) {
    const std::string name = node->s(torch::jit::attr::name);
    Known known{object.value.toObject()->getAttr(name)};
    known.path = object.path.empty() ? name : object.path + "." + name;
    know(node->output(), std::move(known));
    return true;
  }

  bool put_together(const Node* node, const std::string& kind, const std::vector<Known>& arguments) {
    Known known;
    if (kind == "prim::TupleConstruct") {
      std::vector<IValue> values;
      for (const Known& argument : arguments) values.push_back(argument.value);
      known.value = c10::ivalue::Tuple::create(std::move(values));
    } else {
      c10::impl::GenericList values(node->output()->type()->expect<c10::ListType>()->getElementType());
      for (const Known& argument : arguments) values.push_back(argument.value);
      known.value = std::move(values);
    }
    known.elements = arguments;
    know(node->output(), std::move(known));
    return true;
  }

  bool take_apart(const Node* node, const Known& whole) {
    std::vector<Known> elements = whole.elements;
    if (elements.empty()) {
      const auto values = whole.value.isTuple() ? whole.value.toTupleRef().elements().vec() : whole.value.toListRef().vec();
      for (const IValue& value : values) elements.push_back({value});
    }
    if (elements.size() != node->outputs().size()) throw NotExpressible("takes another number of values");
    for (std::size_t i = 0; i < elements.size(); ++i) know(node->outputs()[i], elements[i]);
    return true;
  }

  void take_operator(Node* node, const std::string& kind, const std::vector<Known>& arguments) {
    if (changes_in_place(kind) || kind == "prim::SetAttr") throw ChangedInPlace(kind + " changes in place what may be read again");
    const bool depends = std::any_of(arguments.begin(), arguments.end(), [](const Known& one) { return one.depends(); });
    const bool sizes = std::find(about_sizes.begin(), about_sizes.end(), kind) != about_sizes.end();
    const auto translate = known_operators().find(kind);
    if (node->isNondeterministic() && kind.find("dropout") == std::string::npos) throw NotExpressible("is random");
    if (depends && !sizes && translate == known_operators().end()) throw NotExpressible("has no counterpart here");
    if (node->maybeOperator() == nullptr) throw NotExpressible("has no counterpart here");
    torch::jit::Stack stack;
    for (const Known& argument : arguments) stack.push_back(argument.value);
    node->getOperation()(stack);
    if (!depends || sizes) {
      for (std::size_t i = 0; i < node->outputs().size(); ++i) know(node->outputs()[i], {stack.at(i)});
      return;
    }
    if (stack.size() != 1) throw NotExpressible("answers several values");
    Call call(graph_, *node, arguments, stack.front());
    know(node->output(), translate->second(call));
  }

  Graph& graph_;
  std::unordered_map<const NodeValue*, Known> known_;
};

// Answers of the method, by their names.
struct Answers {
  std::vector<std::string> names;
  std::vector<Known> values;
};

Answers answers_of(const Known& whole, const TorchCall& call) {
  Answers answers;
  answers.values = whole.elements.empty() ? std::vector<Known>{whole} : whole.elements;
  answers.names = call.outputs;
  if (answers.names.size() == answers.values.size()) return answers;
  answers.names.clear();
  for (std::size_t i = 0; i < answers.values.size(); ++i) {
    answers.names.push_back(answers.values.size() == 1 ? "output" : c10::str("output_", i + 1));
  }
  return answers;
}

// A value of the graph by that name: an input, or one that is an output already, is given on through an operation of its own.
ValueId output_value(Graph& graph, const Known& answer, const std::string& name) {
  const ValueId id = *answer.id;
  const auto taken = [&](const std::vector<ValueId>& ids) { return std::find(ids.begin(), ids.end(), id) != ids.end(); };
  if (!taken(graph.inputs) && !taken(graph.outputs)) {
    graph.values[id].name = name;
    return id;
  }
  Value copy = graph.values[id];
  copy.name = name;
  const ValueId output = graph.add(std::move(copy));
  graph.operations.push_back({Reshape{}, {id}, output});
  return output;
}

Status add_outputs(Graph& graph, const Answers& answers, const TorchCall& call) {
  for (const std::string& wanted : call.wanted) {
    if (std::find(answers.names.begin(), answers.names.end(), wanted) != answers.names.end()) continue;
    return fail(ErrorCode::invalid_argument,
                call.method + " has no output '" + wanted + "'; it has " + join(answers.names));
  }
  for (std::size_t i = 0; i < answers.values.size(); ++i) {
    const std::string& name = answers.names[i];
    if (!call.wanted.empty() && std::find(call.wanted.begin(), call.wanted.end(), name) == call.wanted.end()) continue;
    const Known& answer = answers.values[i];
    if (const std::string why = answer.why_refused(); !why.empty()) {
      return fail(ErrorCode::unsupported, "its " + name + " needs " + why);
    }
    if (!answer.id) {
      return fail(ErrorCode::unsupported, "its " + name + (answer.value.isTensor() ? " does not depend on any input that is a tensor"
                                                                                   : " is no tensor"));
    }
    graph.outputs.push_back(output_value(graph, answer, name));
  }
  return {};
}

// Names say what a value is, once.
void make_names_unique(Graph& graph) {
  std::map<std::string, int> seen;
  std::vector<bool> fixed(graph.values.size(), false);
  for (const auto& ids : {graph.inputs, graph.outputs}) {
    for (const ValueId id : ids) {
      fixed[id] = true;
      ++seen[graph.values[id].name];
    }
  }
  for (ValueId id = 0; id < graph.values.size(); ++id) {
    if (fixed[id]) continue;
    std::string& name = graph.values[id].name;
    const int before = seen[name]++;
    if (before > 0) name = c10::str(name, "_", id);
  }
}

Result<Graph> walked(const torch::jit::Module& module, const TorchCall& call) {
  auto torch_graph = models::inlined_graph(module, call.method);
  torch::jit::RemoveTensorMutation(torch_graph);
  Graph graph;
  graph.name = call.method;
  Walk walk(graph);
  walk.know(torch_graph->inputs().at(0), {module._ivalue()});
  for (std::size_t i = 0; i < call.example.size(); ++i) {
    Known argument{call.example[i]};
    if (argument.value.isTensor()) {
      argument.id = graph.add(value_of(argument.value.toTensor(), call.arguments.at(i)));
      graph.inputs.push_back(*argument.id);
    }
    walk.know(torch_graph->inputs().at(i + 1), std::move(argument));
  }
  walk.through(torch_graph->block());
  OUTCROP_CHECK(add_outputs(graph, answers_of(walk.known(torch_graph->outputs().at(0)), call), call));
  drop_unused(graph);
  make_names_unique(graph);
  return graph;
}

}  // namespace

Result<Graph> graph_of(const torch::jit::Module& module, const TorchCall& call) {
  try {
    const torch::NoGradGuard no_gradient;
    return walked(module, call);
  } catch (const std::exception& error) {
    return fail(ErrorCode::unsupported, call.method + ": " + models::words_of(error));
  }
}

}  // namespace outcrop::exchange
