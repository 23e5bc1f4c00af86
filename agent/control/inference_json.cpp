#include "agent/control/inference_json.hpp"

#include <limits>

#include <nlohmann/json.hpp>

#include "protocol/base/cut_short.hpp"

namespace outcrop::agent {
namespace {

using Json = nlohmann::json;

constexpr std::size_t deepest = 16;
constexpr std::size_t most_dimensions = 8;
constexpr std::size_t longest_id = 1024;
constexpr std::size_t longest_shown = 60;

// Where a value stands.
enum class In { request, parameters, inputs, input, shape, data, input_parameters, outputs, output, output_parameters, other };

std::uint64_t elements_of(const std::vector<std::int64_t>& shape) {
  std::uint64_t elements = 1;
  for (const std::int64_t size : shape) {
    if (size <= 0) return 0;
    if (elements > std::numeric_limits<std::uint64_t>::max() / static_cast<std::uint64_t>(size)) return std::numeric_limits<std::uint64_t>::max();
    elements *= static_cast<std::uint64_t>(size);
  }
  return elements;
}

class Reader final : public nlohmann::json_sax<Json> {
 public:
  explicit Reader(const messages::Method& method) : method_(method) {}

  Result<GivenRequest> result() {
    if (!why_.empty()) return fail(ErrorCode::invalid_argument, why_);
    if (!has_inputs_) return fail(ErrorCode::invalid_argument, "the request has no list 'inputs'");
    return std::move(request_);
  }

  bool null() override {
    if (is_in(In::input_parameters) || is_in(In::output_parameters) || is_in(In::parameters)) return true;
    return other_value("null");
  }

  bool boolean(bool value) override {
    if (is_in(In::data)) {
      if (input().truth || input().values.count() > 0) return refuse_input("true or false stands beside other values");
      last_is_list_ = false;
      input().truth = value;
      return true;
    }
    if (is_in(In::parameters) && key_ == "binary_data_output") request_.as_bytes = value;
    if (is_in(In::output_parameters) && key_ == "binary_data") request_.outputs.back().second = value;
    return other_value(value ? "true" : "false");
  }

  bool number_integer(number_integer_t value) override {
    if (is_in(In::shape)) return add_dimension(value);
    if (is_in(In::data)) return add_value(std::int64_t{value});
    return other_value(std::to_string(value));
  }

  bool number_unsigned(number_unsigned_t value) override {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (is_in(In::input_parameters) && key_ == "binary_data_size") {
      input().binary_size = value;
      return true;
    }
    if (is_in(In::data) && value > most) return add_value(static_cast<double>(value));
    if (value > most) return other_value(std::to_string(value));
    return number_integer(static_cast<std::int64_t>(value));
  }

  bool number_float(number_float_t value, const string_t& text) override {
    return is_in(In::data) ? add_value(value) : other_value(text);
  }

  bool string(string_t& text) override {
    if (is_in(In::request) && key_ == "id") {
      if (text.size() > longest_id) return refuse("the id has more than " + std::to_string(longest_id) + " bytes");
      request_.id = std::move(text);
      return true;
    }
    if (is_in(In::input) && key_ == "name") input().name = std::move(text);
    else if (is_in(In::input) && key_ == "datatype") input().datatype = std::move(text);
    else if (is_in(In::output) && key_ == "name") request_.outputs.back().first = std::move(text);
    else return other_value(text);
    return true;
  }

  bool binary(binary_t& bytes) override { return other_value(std::to_string(bytes.size()) + " bytes"); }

  bool start_object(std::size_t) override {
    if (open_.empty()) return enter(In::request);
    switch (open_.back()) {
      case In::inputs:
        if (request_.inputs.size() == method_.inputs.size()) {
          return refuse("more inputs than the " + std::to_string(method_.inputs.size()) + " that there are; the release serves " + describe(method_));
        }
        request_.inputs.emplace_back();
        return enter(In::input);
      case In::outputs:
        if (request_.outputs.size() == method_.outputs.size()) {
          return refuse("more outputs than the " + std::to_string(method_.outputs.size()) + " that there are; the release serves " + describe(method_));
        }
        request_.outputs.emplace_back();
        return enter(In::output);
      case In::request:
        if (key_ == "parameters") return enter(In::parameters);
        break;
      case In::input:
        if (key_ == "parameters") return enter(In::input_parameters);
        break;
      case In::output:
        if (key_ == "parameters") return enter(In::output_parameters);
        break;
      default:
        break;
    }
    return other_value("an object") && enter(In::other);
  }

  bool start_array(std::size_t) override {
    if (open_.empty()) return refuse("the request is no JSON object");
    last_is_list_ = true;
    if (is_in(In::data)) return enter(In::data);
    if (is_in(In::request) && key_ == "inputs") {
      if (std::exchange(has_inputs_, true)) return refuse("'inputs' stands twice");
      return enter(In::inputs);
    }
    if (is_in(In::request) && key_ == "outputs") return enter(In::outputs);
    if (is_in(In::input) && key_ == "shape") {
      if (input().shape) return refuse_input("its shape stands twice");
      input().shape.emplace();
      return enter(In::shape);
    }
    if (is_in(In::input) && key_ == "data") {
      if (std::exchange(input().has_data, true)) return refuse_input("its data stand twice");
      return enter(In::data);
    }
    return other_value("a list") && enter(In::other);
  }

  bool key(string_t& name) override {
    key_ = std::move(name);
    return true;
  }

  bool end_object() override { return leave(); }
  bool end_array() override {
    const bool inner = is_in(In::data) && open_.size() > 1 && open_[open_.size() - 2] == In::data;
    if (inner && last_is_list_) return refuse_input("an empty list stands in its data");
    return leave();
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("the request is no JSON object");
  }

 private:
  [[nodiscard]] bool is_in(In place) const { return !open_.empty() && open_.back() == place; }
  GivenInput& input() { return request_.inputs.back(); }

  bool refuse(const std::string& why) {
    if (why_.empty()) why_ = why;
    return false;
  }
  bool refuse_input(const std::string& why) {
    return refuse("input '" + cut_short(input().name, longest_shown) + "': " + why);
  }

  bool enter(In place) {
    if (open_.size() == deepest) return refuse("lists within lists, more than " + std::to_string(deepest) + " deep");
    open_.push_back(place);
    return true;
  }
  bool leave() {
    open_.pop_back();
    last_is_list_ = false;
    return true;
  }

  bool add_dimension(std::int64_t size) {
    if (input().shape->size() == most_dimensions) return refuse_input("it has no shape of at most 8 dimensions");
    input().shape->push_back(size);
    return true;
  }

  bool add_value(auto value) {
    last_is_list_ = false;
    GivenInput& into = input();
    if (into.truth) return refuse_input("true or false stands beside other values");
    if (into.shape && into.values.count() == elements_of(*into.shape)) return refuse_input("it has more values than its shape says");
    into.values.add(value);
    return true;
  }

  // One that means nothing where it stands: wrong where something else is to stand there.
  bool other_value(const std::string& text) {
    if (open_.empty()) return refuse("the request is no JSON object");
    if (is_in(In::inputs)) return refuse("an input must be an object");
    if (is_in(In::outputs)) return refuse("an output must be an object");
    if (is_in(In::shape)) return refuse_input("a dimension is no integer");
    if (is_in(In::data)) {
      return refuse_input("'" + cut_short(text, longest_shown) + "' is no value of " + input().datatype.value_or("a tensor"));
    }
    if (is_in(In::request) && key_ == "inputs") return refuse("the request has no list 'inputs'");
    if (is_in(In::request) && key_ == "outputs") return refuse("'outputs' is no list");
    if (is_in(In::input_parameters) && key_ == "binary_data_size") return refuse_input("binary_data_size is no number of bytes");
    return true;
  }

  const messages::Method& method_;
  GivenRequest request_;
  bool has_inputs_ = false;
  bool last_is_list_ = false;  // a list began, and nothing came since
  std::vector<In> open_;
  std::string key_;
  std::string why_;
};

}  // namespace

void GivenValues::add(std::int64_t value) {
  if (real_.empty()) {
    whole_.push_back(value);
  } else {
    real_.push_back(static_cast<double>(value));
  }
}

void GivenValues::add(double value) {
  if (!whole_.empty()) {
    real_.assign(whole_.begin(), whole_.end());
    whole_ = {};
  }
  real_.push_back(value);
}

Result<GivenRequest> read_inference_json(std::string_view text, const messages::Method& method) {
  Reader reader(method);
  Json::sax_parse(text, &reader);
  return reader.result();
}

}  // namespace outcrop::agent
