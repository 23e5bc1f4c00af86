#include "runtime/runner/server.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include "protocol/base/median.hpp"
#include "runtime/runner/confine.hpp"
#include "runtime/runner/messages.hpp"

namespace outcrop::runtime {
namespace {

using Json = nlohmann::json;
using SteadyClock = std::chrono::steady_clock;

constexpr std::int64_t most_calls = 1'000'000;
constexpr std::int64_t most_watched_calls = 1000;
constexpr std::int64_t longest_measurement = 3'600'000'000'000;  // ns
constexpr std::int64_t most_threads = 256;

std::int64_t nanoseconds_since(SteadyClock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - start).count();
}

// A model that names an operator which failed the engine's self-test would give wrong numbers.
Status check_self_test(const Inspection& inspection, const Engine& engine,
                       std::string_view backend) {
  for (const Backend& tested : engine.backends()) {
    if (tested.name != backend) continue;
    for (const std::string& name : inspection.operators) {
      const std::string base = name.substr(0, name.find('.'));
      if (std::find(tested.failed.begin(), tested.failed.end(), base) == tested.failed.end()) {
        continue;
      }
      return fail(ErrorCode::unsupported, "the model needs " + base + ", which this machine's " +
                                              engine.name() + " " + engine.version() +
                                              " computes wrongly with backend " + tested.name);
    }
  }
  return {};
}

Status check_methods(const std::map<std::string, std::string>& methods, const Json& expected) {
  for (const auto& [name, schema] : expected.items()) {
    const auto found = methods.find(name);
    if (found == methods.end()) {
      return fail(ErrorCode::refused, "the model has no method '" + name + "'");
    }
    if (!schema.is_string() || schema.get<std::string>() != found->second) {
      return fail(ErrorCode::refused, "the model's " + found->second + " should be " +
                                          (schema.is_string() ? schema.get<std::string>() : name));
    }
  }
  return {};
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<Mapping> Mapping::of_sealed(UniqueFd descriptor) {
  if (!descriptor) return fail(ErrorCode::invalid_argument, "a request without its blob");
  // Not fstat: libraries implement it by calls that also take paths, which the filter forbids.
  const off_t end = ::lseek(descriptor.get(), 0, SEEK_END);
  if (end <= 0) return fail(ErrorCode::invalid_data, "an empty blob");
  const auto size = static_cast<std::size_t>(end);
  // Private, though never written: the filter lets no shared mapping through.
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (memory == MAP_FAILED) return fail(Error::from_errno("mapping the blob"));
  Mapping mapping;
  mapping.bytes_ = BytesView(static_cast<const std::byte*>(memory), size);
  constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
  const int held = ::fcntl(descriptor.get(), F_GET_SEALS);
  if (held < 0 || (held & seals) != seals) {
    return fail(ErrorCode::untrusted, "the blob is not sealed: it could change while it is read");
  }
  return mapping;
}

void Server::serve() {
  for (;;) {
    UniqueFd blob;
    const auto request = channel_.receive(no_deadline, blob);
    if (!request || request->type() == "bye") return;
    Result<Frame> reply = fail(ErrorCode::internal, "");
    try {
      reply = answer(*request, std::move(blob));
    } catch (const std::bad_alloc&) {
      reply = fail(ErrorCode::out_of_memory, "the runner's memory limit was reached");
    } catch (const std::exception& error) {
      reply = fail(ErrorCode::internal, error.what());
    }
    if (!reply) reply = Frame{encode_error(reply.error()), {}};
    if (!send(std::move(*reply))) return;
  }
}

Result<Frame> Server::answer(const Frame& request, UniqueFd blob) {
  const std::string type = request.type();
  if (type == "inspect") return inspect(std::move(blob));
  if (type == "lacking") return lacking(request.header);
  if (type == "load") return load(request.header, std::move(blob));
  if (type == "infer") return infer(request);
  if (type == "measure") return measure(request);
  if (type == "time-operators") return time_operators(request);
  if (type == "probe") {
    OUTCROP_TRY(file, get_string(request.header, "file"));
    OUTCROP_TRY(port, get_integer(request.header, "port", 1, 65535));
    Json attempts = Json::array();
    for (const Attempt& tried : try_to_escape(file, static_cast<int>(port))) {
      attempts.push_back(
          {{"what", tried.what}, {"refused", tried.refused}, {"detail", tried.detail}});
    }
    return Frame{{{"type", "probed"}, {"attempts", attempts}}, {}};
  }
  return fail(ErrorCode::invalid_argument, "a request of unknown type '" + type + "'");
}

Result<Frame> Server::inspect(UniqueFd blob) {
  OUTCROP_TRY(mapping, Mapping::of_sealed(std::move(blob)));
  OUTCROP_TRY(inspection, engine_.inspect(mapping.bytes()));
  Json header = encode_inspection(inspection);
  header["type"] = "inspected";
  return Frame{std::move(header), {}};
}

Result<Frame> Server::lacking(const Json& header) {
  OUTCROP_TRY(operators, get_strings(header, "operators"));
  std::erase_if(operators, [&](const std::string& name) { return engine_.has_operator(name); });
  return Frame{{{"type", "lacked"}, {"operators", operators}}, {}};
}

Result<Frame> Server::load(const Json& header, UniqueFd blob) {
  if (model_) return fail(ErrorCode::invalid_argument, "this runner already holds a model");
  OUTCROP_TRY(backend, get_string(header, "backend"));
  OUTCROP_TRY(threads, get_integer(header, "threads", 1, most_threads));
  OUTCROP_TRY(allowed, get_strings(header, "allowed_operators"));
  OUTCROP_TRY(mapping, Mapping::of_sealed(std::move(blob)));
  OUTCROP_TRY(inspection, engine_.inspect(mapping.bytes()));
  OUTCROP_CHECK(check_operators(inspection, allowed));
  OUTCROP_CHECK(check_self_test(inspection, engine_, backend));
  const auto start = SteadyClock::now();
  OUTCROP_TRY(model, engine_.load(mapping.bytes(), backend, static_cast<int>(threads)));
  const std::int64_t load_time = nanoseconds_since(start);
  const auto methods = model->methods();
  OUTCROP_CHECK(check_methods(methods, header.value("expected_methods", Json::object())));
  mapping_ = std::move(mapping);
  model_ = std::move(model);
  return Frame{{{"type", "loaded"},
                {"inspection", encode_inspection(inspection)},
                {"methods", methods},
                {"load_ns", load_time}},
               {}};
}

Result<std::unique_ptr<Call>> Server::prepare(const Frame& request) {
  if (!model_) return fail(ErrorCode::invalid_argument, "no model is loaded");
  OUTCROP_TRY(method, get_string(request.header, "method"));
  OUTCROP_TRY(arguments,
              decode_arguments(request.header.value("arguments", Json()), request.payload));
  return model_->prepare(method, arguments);
}

Result<Frame> Server::infer(const Frame& request) {
  OUTCROP_TRY(call, prepare(request));
  const auto start = SteadyClock::now();
  OUTCROP_CHECK(call->run());
  const std::int64_t call_time = nanoseconds_since(start);
  const bool cold = warm_methods_.insert(request.header.value("method", std::string{})).second;
  OUTCROP_TRY(outputs, call->outputs());
  Frame reply;
  reply.header = {{"type", "outputs"},
                  {"cold", cold},
                  {"call_ns", call_time},
                  {"tensors", encode_tensors(outputs, reply.payload)}};
  return reply;
}

Result<Frame> Server::measure(const Frame& request) {
  OUTCROP_TRY(warm_up_calls, get_integer(request.header, "warm_up_calls", 0, most_calls));
  OUTCROP_TRY(maximum_calls, get_integer(request.header, "maximum_calls", 1, most_calls));
  OUTCROP_TRY(maximum_time, get_integer(request.header, "maximum_ns", 0, longest_measurement));
  OUTCROP_TRY(call, prepare(request));
  const bool cold = warm_methods_.insert(request.header.value("method", std::string{})).second;

  std::vector<std::int64_t> samples;
  samples.reserve(static_cast<std::size_t>(std::min<std::int64_t>(maximum_calls, 10'000)));
  const auto timed = [&]() -> Result<std::int64_t> {
    const auto start = SteadyClock::now();
    OUTCROP_CHECK(call->run());
    return nanoseconds_since(start);
  };
  OUTCROP_TRY(first, timed());
  const auto warm_up = SteadyClock::now();
  for (std::int64_t i = 0; i < warm_up_calls; ++i) OUTCROP_CHECK(call->run());
  const std::int64_t warm_up_time = nanoseconds_since(warm_up);
  const auto start = SteadyClock::now();
  do {
    OUTCROP_TRY(sample, timed());
    samples.push_back(sample);
  } while (std::ssize(samples) < maximum_calls && nanoseconds_since(start) < maximum_time);

  Frame reply;
  const std::array tensors{Tensor::of_integers("", {std::ssize(samples)}, samples)};
  reply.header = {{"type", "measured"},
                  {"cold", cold},
                  {"first_ns", first},
                  {"warm_up_ns", warm_up_time},
                  {"tensors", encode_tensors(tensors, reply.payload)}};
  return reply;
}

Result<Frame> Server::time_operators(const Frame& request) {
  OUTCROP_TRY(maximum_calls, get_integer(request.header, "maximum_calls", 1, most_watched_calls));
  OUTCROP_TRY(maximum_time, get_integer(request.header, "maximum_ns", 0, longest_measurement));
  OUTCROP_TRY(call, prepare(request));
  OUTCROP_CHECK(call->run());
  std::vector<std::string> names;
  std::vector<std::vector<double>> times;
  std::int64_t calls = 0;
  const auto start = SteadyClock::now();
  do {
    const auto watched = call->run_watched();
    if (!watched) return fail(watched.error().context(engine_.name() + " " + engine_.version()));
    times.resize(watched->size());
    bool same = calls == 0 || names.size() == watched->size();
    for (std::size_t i = 0; same && i < watched->size(); ++i) {
      if (calls == 0) names.push_back((*watched)[i].name);
      same = names[i] == (*watched)[i].name;
      times[i].push_back(static_cast<double>((*watched)[i].time.count()));
    }
    if (!same) return fail(ErrorCode::unsupported, "not every call runs the same operators, so none of them has a time");
    ++calls;
  } while (calls < maximum_calls && nanoseconds_since(start) < maximum_time);

  std::vector<std::int64_t> medians;
  for (auto& one : times) medians.push_back(static_cast<std::int64_t>(median(std::move(one))));
  Frame reply;
  const std::array tensors{Tensor::of_integers("", {std::ssize(medians)}, medians)};
  reply.header = {{"type", "timed-operators"},
                  {"calls", calls},
                  {"operators", names},
                  {"tensors", encode_tensors(tensors, reply.payload)}};
  return reply;
}

}  // namespace outcrop::runtime
