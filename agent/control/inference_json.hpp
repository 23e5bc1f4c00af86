#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/signature.hpp"

namespace outcrop::agent {

// The JSON of an Open Inference request as it is read: event by event, so that nothing of it becomes a tree, and no longer than
// it is what it must be.

// Numbers of one kind, lists in lists as one list: whole ones until one comes that is not.
class GivenValues {
 public:
  void add(std::int64_t value);
  void add(double value);
  [[nodiscard]] std::size_t count() const { return whole_.size() + real_.size(); }
  [[nodiscard]] const std::vector<std::int64_t>& whole() const { return whole_; }
  [[nodiscard]] const std::vector<double>& real() const { return real_; }

 private:
  std::vector<std::int64_t> whole_;
  std::vector<double> real_;  // all of them, where one is none
};

struct GivenInput {
  std::string name;
  std::optional<std::string> datatype;
  std::optional<std::vector<std::int64_t>> shape;
  bool has_data = false;
  GivenValues values;
  std::optional<bool> truth;  // the only value
  std::optional<std::uint64_t> binary_size;
};

struct GivenRequest {
  std::string id;
  bool as_bytes = false;
  std::vector<GivenInput> inputs;
  std::vector<std::pair<std::string, std::optional<bool>>> outputs;  // and whether as bytes
};

// invalid_argument says what is wrong, at the first value that is: at one input or output more than the method has, one value more
// than a shape that came before has, at what is no value.
[[nodiscard]] Result<GivenRequest> read_inference_json(std::string_view text, const messages::Method& method);

}  // namespace outcrop::agent
