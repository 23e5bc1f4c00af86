#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/prove/named_arguments.hpp"
#include "platform/http/server.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::agent {

// The texts of the Open Inference Protocol (version 2, github.com/kserve/open-inference-protocol) with its
// extension for binary tensors, as programs of others speak it; nothing here runs anything.

// The length of the JSON where tensors follow it as bytes, in requests and answers.
inline constexpr const char* json_length_header = "Inference-Header-Content-Length";

// What somebody wants answered, and how.
struct InferenceRequest {
  std::string id;
  NamedArguments arguments;  // by the method's inputs, whose types say what is a scalar
  std::map<std::string, bool> outputs;  // that are wanted, and whether as bytes; empty: all
  bool as_bytes = false;  // of outputs that are not named
};

// `json_length`: the header's value, "" where there was none. invalid_argument says what is wrong. Scalars
// are tensors of one element. The JSON may have 8 MiB: larger tensors come as bytes.
[[nodiscard]] Result<InferenceRequest> read_inference(std::string_view body, const std::string& json_length,
                                                      const messages::Method& method);

// How many values of these outputs the answer has in its JSON, which is work.
[[nodiscard]] std::uint64_t values_in_json(const InferenceRequest& request, const std::vector<runtime::Tensor>& outputs);

// invalid_argument where an output is asked for that there is not, where a value is not finite and asked for in JSON, and where that
// would have more than 32 MiB.
[[nodiscard]] Result<http::Response> inference_answer(const InferenceRequest& request,
                                                      const messages::Manifest& manifest,
                                                      std::vector<runtime::Tensor> outputs);

[[nodiscard]] std::string server_metadata();
[[nodiscard]] std::string model_metadata(const messages::Manifest& manifest, const std::string& engine);
// A stage is a version of its model.
[[nodiscard]] std::string version_of(const messages::Manifest& manifest);

}  // namespace outcrop::agent
