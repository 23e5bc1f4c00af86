// The child's side without LibTorch: what the server refuses whatever the engine, and the two
// ways out of the file system, each in a process of its own.

#include "runtime/runner/server.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <thread>

#include "protocol/trust/verified_blob.hpp"
#include "runtime/runner/landlock.hpp"
#include "runtime/runner/messages.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::runtime {
namespace {

using ::testing::HasSubstr;

// Of an engine that does not time its operators, unless it is told which a call runs next.
class PlainCall : public Call {
 public:
  Status run() override { return {}; }
  Result<std::vector<Tensor>> outputs() override { return std::vector<Tensor>(); }
};
class WatchedCall final : public PlainCall {
 public:
  explicit WatchedCall(std::vector<std::string> names) : names_(std::move(names)) {}
  Result<std::vector<OperatorTime>> run_watched() override {
    const std::string& name = names_[calls_++ % names_.size()];
    return std::vector<OperatorTime>{{name, std::chrono::nanoseconds(10 * calls_)}};
  }

 private:
  std::vector<std::string> names_;
  std::size_t calls_ = 0;
};
class SmallModel final : public Model {
 public:
  std::map<std::string, std::string> methods() const override { return {}; }
  Result<std::unique_ptr<Call>> prepare(std::string_view method, std::span<const Value>) override {
    if (method == "plain") return std::make_unique<PlainCall>();
    if (method == "changes") return std::make_unique<WatchedCall>(std::vector<std::string>{"aten::relu", "aten::tanh"});
    return std::make_unique<WatchedCall>(std::vector<std::string>{"aten::relu"});
  }
};

// A library whose transposed convolution is wrong with one of its two backends, as some are.
class FaultyEngine final : public Engine {
 public:
  std::string name() const override { return "faulty"; }
  std::string version() const override { return "2.6"; }
  const std::vector<Backend>& backends() const override { return backends_; }
  bool has_operator(std::string_view name) const override { return name == "aten::relu"; }
  Result<Inspection> inspect(BytesView) override {
    return Inspection{{"aten::relu", "quantized::conv_transpose2d"}, 7, ByteCount(8)};
  }
  Result<std::unique_ptr<Model>> load(BytesView, std::string_view, int) override {
    ++loads;
    if (loads_it) return std::make_unique<SmallModel>();
    return fail(ErrorCode::invalid_data, "reached the loader");
  }

  int loads = 0;
  bool loads_it = false;

 private:
  std::vector<Backend> backends_{{"wrong", {"quantized::conv_transpose2d"}, {}}, {"right", {}, {}}};
};

class Servers : public ::testing::Test {
 protected:
  Servers() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    parent_.emplace(UniqueFd(ends[0]));
    thread_ = std::thread([this, end = ends[1]] {
      Server server(engine_, Channel{UniqueFd(end)});
      server.serve();
    });
  }
  ~Servers() override {
    EXPECT_THAT(parent_->send({{{"type", "bye"}}, {}}, no_deadline), IsOk());
    thread_.join();
  }

  Frame answered(const nlohmann::json& header, int descriptor = -1) {
    EXPECT_THAT(parent_->send({header, {}}, no_deadline, descriptor), IsOk());
    auto reply = parent_->receive(no_deadline);
    EXPECT_THAT(reply, IsOk());
    return std::move(*reply);
  }
  // The error that a request is answered with.
  Error ask(const nlohmann::json& header, int descriptor = -1) { return decode_error(answered(header, descriptor).header); }
  Error load(int descriptor, const std::string& backend,
             const std::vector<std::string>& allowed = {"aten::relu",
                                                        "quantized::conv_transpose2d"}) {
    return ask({{"type", "load"},
                {"backend", backend},
                {"threads", 1},
                {"allowed_operators", allowed},
                {"expected_methods", nlohmann::json::object()}},
               descriptor);
  }

  FaultyEngine engine_;
  std::optional<Channel> parent_;
  std::thread thread_;
};

TEST_F(Servers, refuse_an_operator_that_failed_the_self_test_of_its_backend_only) {
  const auto blob = trust::verify_bytes(as_bytes("model"), trust::sha256("model"));
  ASSERT_THAT(blob, IsOk());
  const Error refused = load(blob->fd(), "wrong");
  EXPECT_EQ(refused.code(), ErrorCode::unsupported);
  EXPECT_THAT(refused.message(),
              HasSubstr("quantized::conv_transpose2d, which this machine's faulty 2.6 computes "
                        "wrongly with backend wrong"));
  EXPECT_EQ(engine_.loads, 0);
  EXPECT_THAT(load(blob->fd(), "right").message(), HasSubstr("reached the loader"));
}

TEST_F(Servers, name_the_operators_that_the_engine_lacks) {
  const auto asked = [&](const std::vector<std::string>& operators) {
    EXPECT_THAT(parent_->send({{{"type", "lacking"}, {"operators", operators}}, {}}, no_deadline),
                IsOk());
    const auto reply = parent_->receive(no_deadline);
    EXPECT_THAT(reply, IsOk());
    EXPECT_EQ(reply->type(), "lacked");
    return get_strings(reply->header, "operators").value_or(std::vector<std::string>{"no answer"});
  };
  EXPECT_THAT(asked({"aten::relu", "aten::fly", "quantized::swim.new"}),
              ::testing::ElementsAre("aten::fly", "quantized::swim.new"));
  EXPECT_THAT(asked({"aten::relu"}), ::testing::IsEmpty());
  EXPECT_EQ(ask({{"type", "lacking"}, {"operators", 3}}).code(), ErrorCode::invalid_data);
}

TEST_F(Servers, check_operators_before_the_loader_sees_the_file) {
  const auto blob = trust::verify_bytes(as_bytes("model"), trust::sha256("model"));
  ASSERT_THAT(blob, IsOk());
  EXPECT_EQ(load(blob->fd(), "right", {"aten::relu"}).code(), ErrorCode::refused);
  EXPECT_EQ(load(blob->fd(), "right", {}).code(), ErrorCode::refused);
  EXPECT_EQ(engine_.loads, 0);
}

TEST_F(Servers, take_only_sealed_memory) {
  const UniqueFd open(::memfd_create("unsealed", MFD_CLOEXEC));
  ASSERT_EQ(::write(open.get(), "model", 5), 5);
  const Error unsealed = load(open.get(), "right");
  EXPECT_EQ(unsealed.code(), ErrorCode::untrusted);
  EXPECT_THAT(unsealed.message(), HasSubstr("not sealed"));
  EXPECT_EQ(load(-1, "right").code(), ErrorCode::invalid_argument);
  EXPECT_EQ(engine_.loads, 0);
}

TEST_F(Servers, answer_nonsense_with_an_error_and_go_on) {
  EXPECT_THAT(ask({{"type", "dance"}}).message(), HasSubstr("'dance'"));
  EXPECT_THAT(ask({{"type", "infer"}, {"method", "forward"}}).message(),
              HasSubstr("no model is loaded"));
  EXPECT_EQ(ask({{"type", "measure"}, {"warm_up_calls", -1}}).code(), ErrorCode::invalid_data);
}

TEST_F(Servers, time_operators_where_the_engine_tells_them_and_calls_run_the_same_ones) {
  const auto blob = trust::verify_bytes(as_bytes("model"), trust::sha256("model"));
  ASSERT_THAT(blob, IsOk());
  engine_.loads_it = true;
  EXPECT_EQ(answered({{"type", "load"},
                      {"backend", "right"},
                      {"threads", 1},
                      {"allowed_operators", {"aten::relu", "quantized::conv_transpose2d"}},
                      {"expected_methods", nlohmann::json::object()}},
                     blob->fd())
                .type(),
            "loaded");
  const auto request = [](const char* method) {
    return nlohmann::json{{"type", "time-operators"}, {"method", method},       {"arguments", nlohmann::json::array()},
                          {"maximum_calls", 3},       {"maximum_ns", 1'000'000'000}};
  };
  const Frame timed = answered(request("steady"));
  EXPECT_EQ(timed.header["operators"], nlohmann::json({"aten::relu"}));
  EXPECT_EQ(timed.header["calls"], 3);
  const auto times = decode_tensors(timed.header["tensors"], timed.payload);
  ASSERT_THAT(times, IsOk());
  EXPECT_EQ(times->front().integers()[0], 20) << "the median of 10, 20 and 30";
  const Error plain = ask(request("plain"));
  EXPECT_EQ(plain.code(), ErrorCode::unsupported);
  EXPECT_THAT(plain.message(), HasSubstr("faulty 2.6"));
  EXPECT_THAT(ask(request("changes")).message(), HasSubstr("not every call runs the same operators"));
  nlohmann::json none = request("steady");
  none["maximum_calls"] = 0;
  EXPECT_EQ(ask(none).code(), ErrorCode::invalid_data);
}

constexpr int unavailable = 77;

// Runs `leave` in a child and reports whether it then still found files.
int files_after(const std::function<std::string()>& leave) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!leave().empty()) ::_exit(unavailable);
    int found = 0;
    for (const char* path : {"/etc/passwd", "/proc/self/status", "/", "."}) {
      found += ::open(path, O_RDONLY) >= 0 && std::string(path).size() > 1 ? 1 : 0;
    }
    found += ::open("/tmp/outcrop-escaped", O_WRONLY | O_CREAT, 0600) >= 0 ? 1 : 0;
    found += ::open("/outcrop-escaped", O_WRONLY | O_CREAT, 0600) >= 0 ? 1 : 0;
    ::_exit(found);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Confinement, by_landlock_alone_leaves_no_files) {
  const int found = files_after([] { return forbid_files_by_landlock(); });
  if (found == unavailable) GTEST_SKIP() << "this kernel has no Landlock";
  EXPECT_EQ(found, 0);
}

TEST(Confinement, by_namespaces_alone_leaves_no_files) {
  const int found = files_after(leave_files_by_namespace);
  if (found == unavailable) GTEST_SKIP() << "namespaces are not to be had here";
  EXPECT_EQ(found, 0);
}

}  // namespace
}  // namespace outcrop::runtime
