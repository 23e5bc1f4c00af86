#include "protocol/messages/earlier_golden.hpp"

#include <set>

#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr const char* served_method = "forward";
constexpr const char* rows = "batch";
constexpr double most_samples = 256;
constexpr std::uint64_t most_latents = 4096;
constexpr double largest_seed = 9007199254740991.0;  // 2^53 - 1

TensorType type_of(const RowSchema& schema) {
  TensorType type;
  type.dtype = schema.dtype;
  type.shape.emplace_back(rows);
  for (const std::int64_t size : schema.shape) type.shape.emplace_back(size);
  type.unit = schema.unit;
  return type;
}

Json row_to_json(const RowSchema& schema, bool with_unit) {
  Json json{{"name", schema.name}, {"dtype", schema.dtype}, {"shape", schema.shape}};
  if (with_unit) json["unit"] = schema.unit;
  return json;
}

RowSchema read_row(ObjectReader& reader, bool with_unit) {
  RowSchema schema;
  schema.name = reader.text("name");
  schema.dtype = reader.choice("dtype", {"float32", "int64"}) == 0 ? "float32" : "int64";
  schema.shape = reader.dimensions("shape");
  if (with_unit) schema.unit = reader.text("unit");
  reader.done();
  return schema;
}

RowSchema schema_of(const std::string& name, const TensorType& type) {
  RowSchema schema{name, type.dtype, {}, type.unit};
  for (std::size_t i = 1; i < type.shape.size(); ++i) schema.shape.push_back(type.shape[i].size);
  return schema;
}

}  // namespace

Signature signature_of(const RowsGolden& golden) {
  Method proved{golden.method, {}, {}};
  for (const RowSchema& input : golden.inputs) {
    proved.inputs.push_back({input.name, type_of(input)});
  }
  for (const RowSchema& output : golden.outputs) {
    proved.outputs.push_back({output.name, type_of(output), Score::absolute});
  }
  if (golden.method == served_method) return {served_method, {std::move(proved)}};
  Method served{served_method, {}, proved.outputs};
  served.inputs.push_back(
      {"batch_size", ScalarType{ScalarKind::integer, {}, Range{1, most_samples}, rows}});
  served.inputs.push_back(
      {"seed", ScalarType{ScalarKind::integer, std::int64_t{0}, Range{0, largest_seed}, ""}});
  return {served_method, {std::move(served), std::move(proved)}};
}

std::vector<GoldenCall> calls_of(const RowsGolden& golden) {
  std::vector<GoldenCall> calls;
  for (std::uint64_t row = 0; row < golden.latents; ++row) {
    GoldenCall call{golden.method, {}, {}};
    const auto one = static_cast<std::int64_t>(row);
    for (const RowSchema& input : golden.inputs) {
      call.arguments.emplace_back(TensorReference(input.name, one));
    }
    for (const RowSchema& output : golden.outputs) call.outputs.emplace_back(output.name, one);
    calls.push_back(std::move(call));
  }
  return calls;
}

Json rows_to_json(const RowsGolden& golden) {
  Json inputs = Json::array();
  for (const RowSchema& input : golden.inputs) inputs.push_back(row_to_json(input, false));
  Json outputs = Json::array();
  for (const RowSchema& output : golden.outputs) outputs.push_back(row_to_json(output, true));
  return {{"method", golden.method},
          {"latents", golden.latents},
          {"inputs", inputs},
          {"outputs", outputs}};
}

RowsGolden read_rows(ObjectReader& reader) {
  RowsGolden golden;
  golden.method = reader.text("method");
  golden.latents = reader.integer("latents", 1, most_latents);
  reader.objects("inputs", 1, 16, [&](ObjectReader& element) {
    golden.inputs.push_back(read_row(element, false));
  });
  std::set<std::string> names;
  reader.objects("outputs", 1, 16, [&](ObjectReader& element) {
    golden.outputs.push_back(read_row(element, true));
    if (!names.insert(golden.outputs.back().name).second) {
      element.refuse("name", "stands twice among the outputs");
    }
  });
  return golden;
}

RowsGolden rows_of(const Signature& signature, const std::vector<GoldenCall>& calls) {
  RowsGolden golden;
  golden.latents = calls.size();
  if (calls.empty()) return golden;
  golden.method = calls.front().method;
  const Method* method = signature.method(golden.method);
  if (method == nullptr) return golden;
  for (const Input& input : method->inputs) {
    if (const auto* type = std::get_if<TensorType>(&input.type)) {
      golden.inputs.push_back(schema_of(input.name, *type));
    }
  }
  for (const Output& output : method->outputs) {
    golden.outputs.push_back(schema_of(output.name, output.type));
  }
  return golden;
}

}  // namespace outcrop::messages
