#include "agent/updates/metered_link.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include <gmock/gmock.h>
#include <boost/asio/io_context.hpp>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::Optional;

// The name and the property of NetworkManager on a bus, on a thread of its own.
class FakeNetworkManager {
 public:
  explicit FakeNetworkManager(std::uint32_t metered) : metered_(metered), thread_([this] { serve(); }) {
    while (!ready_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ~FakeNetworkManager() {
    stop_ = true;
    thread_.join();
  }
  void say(std::uint32_t metered) {
    metered_ = metered;
    changed_ = true;
  }

 private:
  static int get(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* self, sd_bus_error*) {
    return sd_bus_message_append(reply, "u", static_cast<FakeNetworkManager*>(self)->metered_.load());
  }

  void serve() {
    static const sd_bus_vtable table[] = {SD_BUS_VTABLE_START(0),
                                          SD_BUS_PROPERTY("Metered", "u", get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                                          SD_BUS_VTABLE_END};
    constexpr const char* name = "org.freedesktop.NetworkManager";
    constexpr const char* object = "/org/freedesktop/NetworkManager";
    constexpr std::uint64_t a_moment = 10'000;  // microseconds
    sd_bus* bus = nullptr;
    EXPECT_GE(sd_bus_open_system(&bus), 0);
    EXPECT_GE(sd_bus_add_object_vtable(bus, nullptr, object, name, table, this), 0);
    EXPECT_GE(sd_bus_request_name(bus, name, 0), 0);
    ready_ = true;
    while (!stop_) {
      if (changed_.exchange(false)) {
        EXPECT_GE(sd_bus_emit_properties_changed(bus, object, name, "Metered", nullptr), 0);
      }
      if (sd_bus_process(bus, nullptr) == 0) (void)sd_bus_wait(bus, a_moment);
    }
    sd_bus_flush_close_unref(bus);
  }

  std::atomic<std::uint32_t> metered_;
  std::atomic<bool> ready_ = false;
  std::atomic<bool> changed_ = false;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// A bus of this test alone, which libsystemd takes for the system's.
class MeteredLinkTest : public ::testing::Test {
 protected:
  MeteredLinkTest() {
    const std::string socket = (folder_.path() / "bus").string();
    const std::filesystem::path config = folder_.path() / "bus.conf";
    EXPECT_THAT(write_file_durably(config, "<busconfig><type>session</type><listen>unix:path=" + socket +
                                               "</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow send_destination=\"*\"/>"
                                               "<allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>"),
                IsOk());
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + socket).c_str(), 1);
    config_ = "--config-file=" + config.string();
  }
  ~MeteredLinkTest() override {
    stop_bus();
    ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
  }

  void start_bus() {
    daemon_ = ::fork();
    if (daemon_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execlp("dbus-daemon", "dbus-daemon", config_.c_str(), "--nofork", "--nopidfile", nullptr);
      ::_exit(127);
    }
    while (!std::filesystem::exists(folder_.path() / "bus")) {
      ASSERT_EQ(::waitpid(daemon_, nullptr, WNOHANG), 0) << "dbus-daemon is one of script/packages.txt";
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  void stop_bus() {
    if (daemon_ <= 0) return;
    ::kill(daemon_, SIGKILL);
    ::waitpid(daemon_, nullptr, 0);
    daemon_ = 0;
    std::filesystem::remove(folder_.path() / "bus");
  }
  bool until(const std::function<bool()>& so) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!so() && std::chrono::steady_clock::now() < end) {
      io_.restart();
      io_.run_for(std::chrono::milliseconds(10));
    }
    return so();
  }

  TemporaryFolder folder_;
  std::string config_;
  pid_t daemon_ = 0;
  asio::io_context io_;
  MeteredLink link_{io_.get_executor(), {.answer = std::chrono::seconds(5), .again = std::chrono::milliseconds(50)}};
};

TEST_F(MeteredLinkTest, costs_as_network_manager_says_and_guesses) {
  start_bus();
  FakeNetworkManager manager(1);
  EXPECT_THAT(link_.costs(), Optional(HasSubstr("waits for NetworkManager"))) << "nothing is received before it is known";
  link_.start();
  ASSERT_TRUE(until([&] { return link_.costs()->find("says that its link is metered") != std::string::npos; }));
  manager.say(2);
  EXPECT_TRUE(until([&] { return !link_.costs(); }));
  manager.say(3);
  EXPECT_TRUE(until([&] { return link_.costs().has_value(); })) << "a guess";
  manager.say(4);
  EXPECT_TRUE(until([&] { return !link_.costs(); }));
  manager.say(0);
  io_.restart();
  io_.run_for(std::chrono::milliseconds(200));
  EXPECT_EQ(link_.costs(), std::nullopt) << "it does not know";
}

TEST_F(MeteredLinkTest, costs_nothing_where_nobody_answers_until_somebody_does) {
  link_.start();
  EXPECT_TRUE(until([&] { return !link_.costs(); })) << "there is no bus";
  start_bus();
  io_.restart();
  io_.run_for(std::chrono::milliseconds(300));
  EXPECT_EQ(link_.costs(), std::nullopt) << "there is a bus, and nobody of that name";
  {
    const FakeNetworkManager manager(1);
    EXPECT_TRUE(until([&] { return link_.costs().has_value(); }));
  }
  stop_bus();
  io_.restart();
  io_.run_for(std::chrono::milliseconds(300));
  EXPECT_TRUE(link_.costs()) << "what it said last counts";
  start_bus();
  const FakeNetworkManager manager(2);
  EXPECT_TRUE(until([&] { return !link_.costs(); }));
}

}  // namespace
}  // namespace outcrop::agent
