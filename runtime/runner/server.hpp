#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "protocol/base/unique_fd.hpp"
#include "runtime/engine/engine.hpp"
#include "runtime/runner/frame.hpp"

namespace outcrop::runtime {

// A blob mapped read-only; the mapping lives as long as this object.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  // Refuses a descriptor that is not a memory file sealed against every change.
  [[nodiscard]] static Result<Mapping> of_sealed(UniqueFd descriptor);

  [[nodiscard]] BytesView bytes() const { return bytes_; }

 private:
  BytesView bytes_;
};

// The child's side of PROTOCOL.md: answers requests until the parent says bye or is gone.
class Server {
 public:
  Server(Engine& engine, Channel channel) : engine_(engine), channel_(std::move(channel)) {}

  [[nodiscard]] Status send(Frame frame) { return channel_.send(frame, no_deadline); }
  // Returns when the parent is done with this runner.
  void serve();

 private:
  [[nodiscard]] Result<Frame> answer(const Frame& request, UniqueFd blob);
  [[nodiscard]] Result<Frame> inspect(UniqueFd blob);
  [[nodiscard]] Result<Frame> lacking(const nlohmann::json& header);
  [[nodiscard]] Result<Frame> load(const nlohmann::json& header, UniqueFd blob);
  [[nodiscard]] Result<Frame> infer(const Frame& request);
  [[nodiscard]] Result<Frame> measure(const Frame& request);
  [[nodiscard]] Result<Frame> time_operators(const Frame& request);
  [[nodiscard]] Result<std::unique_ptr<Call>> prepare(const Frame& request);

  Engine& engine_;
  Channel channel_;
  Mapping mapping_;
  std::unique_ptr<Model> model_;
  std::set<std::string> warm_methods_;
};

}  // namespace outcrop::runtime
