#include "trainer_host/trainer/quantize/storage/expansion_source.hpp"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <iomanip>
#include <map>
#include <sstream>

#include "trainer_host/trainer/models/operator_scope.hpp"

namespace outcrop::quantize {
namespace {

// dtype 6 is float32, 3 int32, 4 int64: TorchScript's own numbers. The statements of a form stand in the
// loop itself: torch.jit.load leaves calls in methods that it has run uninlined, and a .ptl of such a module
// would look for methods that only .pt files have.
constexpr const char* expand_source = R"(
def expand_FORM(self, parts: List[Tensor], numbers: List[int]) -> Tensor:
    rows = numbers[0]
    columns = numbers[1]
    values = torch.empty([rows, columns], dtype=6, layout=None, device=None, pin_memory=False)
    step = max(1, 262144 // columns)
    for part in range((rows + step - 1) // step):
        begin = part * step
        count = min(step, rows - begin)
PIECE
        torch.narrow(values, 0, begin, count).copy_(piece)
    shape = numbers[6:]
    if numbers[5] == 1:
        values = torch.reshape(values, [shape[1], shape[0]] + shape[2:])
        values = torch.transpose(values, 0, 1).contiguous()
    return torch.reshape(values, shape)
)";

constexpr const char* float_piece =
    R"(        piece = torch.narrow(parts[0], 0, begin, count).to(6) * 2.0 ** numbers[3])";

constexpr const char* int8_piece =
    R"(        scales = torch.narrow(parts[1], 0, begin, count).to(6) * 2.0 ** numbers[3]
        piece = torch.narrow(parts[0], 0, begin, count).to(6) * torch.unsqueeze(scales, 1))";

constexpr const char* group_piece =
    R"(        groups = columns // numbers[2]
        packed = torch.narrow(parts[0], 0, begin * groups, count * groups)
        piece = torch.narrow(ops.quantized.UNPACK(packed), 1, 0, numbers[2])
        piece = torch.reshape(piece, [count, columns]) * 2.0 ** numbers[3]
        if numbers[4] == 1:
            piece = torch.index_select(piece, 1, parts[1].to(4))
        if numbers[4] == 2:
            piece = piece / parts[1].to(6))";

constexpr const char* nf4_piece =
    R"(        block = numbers[2]
        first = begin * columns
        size = count * columns
        at = first // block
        blocks = (first + size + block - 1) // block - at
        table = torch.tensor([TABLE], dtype=6)
        pairs = torch.stack([table.unsqueeze(1).expand([16, 16]), table.unsqueeze(0).expand([16, 16])], 2)
        if numbers[4] == 3:
            group = torch.arange(at, at + blocks, dtype=4, layout=None, device=None, pin_memory=False) // 256
            second = torch.index_select(parts[2], 0, group + 1)
            steps = torch.index_select(parts[3], 0, torch.narrow(parts[1], 0, at, blocks).to(3))
            scales = steps * second + torch.narrow(parts[2], 0, 0, 1)
        else:
            scales = torch.narrow(parts[1], 0, at, blocks)
        packed = torch.narrow(parts[0], 0, at * (block // 2), blocks * (block // 2)).to(3)
        piece = torch.reshape(torch.index_select(pairs.reshape([256, 2]), 0, packed), [blocks, block])
        piece = torch.reshape(piece * torch.unsqueeze(scales, 1), [-1])
        piece = torch.reshape(torch.narrow(piece, 0, first - at * block, size), [count, columns]))";

std::string table_literals() {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << std::setprecision(17) << std::showpoint;
  for (const double entry : nf4_table) text << (text.tellp() > 0 ? ", " : "") << entry;
  return text.str();
}

}  // namespace

std::string with_word(std::string text, const std::string& word, const std::string& by) {
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + by.size())) {
    text.replace(at, word.size(), by);
  }
  return text;
}

std::string piece_source(const std::string& form) {
  static const std::map<std::string, std::string> forms = {
      {"fp16", float_piece},
      {"bf16", float_piece},
      {"int8", int8_piece},
      {"int4", with_word(group_piece, "UNPACK", "embedding_bag_4bit_unpack")},
      {"int2", with_word(group_piece, "UNPACK", "embedding_bag_2bit_unpack")},
      {"nf4", with_word(nf4_piece, "TABLE", table_literals())},
  };
  const auto found = forms.find(form);
  TORCH_CHECK(found != forms.end(), "no weights are kept as '", form, "'");
  return found->second;
}

std::string expansion_source(const std::string& form) {
  return with_word(with_word(expand_source, "PIECE", piece_source(form)), "FORM", form);
}

torch::Tensor expanded(const StoredTensor& tensor) {
  static const torch::jit::Module all = [] {
    torch::jit::Module module("__torch__.outcrop.Expansion", std::make_shared<torch::jit::CompilationUnit>(),
                              /*shouldMangle=*/true);
    for (const char* form : {"fp16", "bf16", "int8", "int4", "int2", "nf4"}) {
      module.define(expansion_source(form), models::operator_scope());
    }
    return module;
  }();
  const torch::NoGradGuard no_gradient;
  const torch::jit::GraphOptimizerEnabledGuard as_written(false);
  return all.get_method("expand_" + tensor.form)({tensor.parts, tensor.numbers}).toTensor();
}

}  // namespace outcrop::quantize
