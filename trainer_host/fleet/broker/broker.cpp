#include "trainer_host/fleet/broker/broker.hpp"

#include <utility>  // before Asio

#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include <spdlog/spdlog.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "protocol/messages/names.hpp"
#include "protocol/transport/name_lookup.hpp"
#include "trainer_host/fleet/broker/configuration.hpp"
#include "trainer_host/fleet/broker/device_authorities.hpp"
#include "trainer_host/fleet/broker/knocks.hpp"
#include "trainer_host/fleet/broker/mosquitto.hpp"
#include "trainer_host/fleet/broker/takeover.hpp"
#include "trainer_host/fleet/broker/twins.hpp"
#include "trainer_host/fleet/log/news.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;
namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds first_restart{250};
constexpr milliseconds last_restart{30'000};
constexpr std::chrono::minutes good_run{1};
constexpr const char* itself = "the broker";
constexpr std::chrono::seconds patience_for_port{3};
constexpr std::uintmax_t largest_log = 16'000'000;  // whoever reaches the port can fill it
constexpr std::uintmax_t most_read = 1'000'000;     // of it at once

bool is_any(const std::string& address) {
  return address == "0.0.0.0" || address == "::";
}

// Where this machine itself reaches what listens at `listen`.
std::string local_address(const std::string& listen) {
  if (!is_any(listen)) return listen;
  return listen == "::" ? "::1" : "127.0.0.1";
}

std::vector<std::string> server_names(const BrokerOptions& options) {
  std::vector<std::string> names = {"localhost", "127.0.0.1", "::1"};
  std::vector<std::string> further = options.names;
  if (!is_any(options.listen)) further.push_back(options.listen);
  for (std::string& name : further) {
    name = transport::without_zone(name);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  return {};
}

// A key and its certificate, made anew: nothing is gained by keeping them.
Status make_identity(const pki::Authority& authority, const BrokerPaths& paths,
                     const std::string& who, const pki::Authority::Subject& subject) {
  OUTCROP_TRY(key, trust::PrivateKey::generate());
  OUTCROP_TRY(certificate, authority.issue(subject, key.public_key()));
  std::error_code ignored;
  fs::remove(paths.key(who), ignored);
  OUTCROP_CHECK(key.write_pem(paths.key(who)));
  return write_file_durably(paths.certificate(who), certificate);
}

// Of outcropd's session: a client whose certificate says "outcropd:host" has that id at the listener
// of boards, and cannot take over one that it cannot guess.
std::string make_session_name() {
  std::random_device random;
  const std::string number = std::to_string(random()) + std::to_string(random());
  return std::string(host_name) + "-" + number;
}

// The broker of an outcropd that was killed takes a moment to follow it.
Result<std::uint16_t> wait_for_port(const std::string& listen, std::uint16_t port) {
  const auto end = std::chrono::steady_clock::now() + patience_for_port;
  for (;;) {
    auto free = check_port_free(listen, port);
    if (free || free.error().code() != ErrorCode::already_exists) return free;
    if (std::chrono::steady_clock::now() > end) return free;
    std::this_thread::sleep_for(milliseconds(100));
  }
}

}  // namespace

class Broker::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, BrokerOptions options, pki::Authority authority,
       std::uint16_t port, std::uint16_t host_port)
      : executor_(executor),
        options_(std::move(options)),
        paths_(options_.folder),
        authority_(std::move(authority)),
        devices_(paths_.devices()),
        port_(port),
        host_port_(host_port),
        session_name_(make_session_name()),
        knocks_(port),
        end_(executor),
        restart_timer_(executor),
        log_timer_(executor) {}

  Status begin() {
    OUTCROP_CHECK(write_clients());
    std::error_code none;
    const auto of_earlier_runs = fs::file_size(paths_.log(), none);
    if (!none) learn_places(of_earlier_runs);
    watch_log();  // first: a SIGHUP in its first moments would end mosquitto
    return launch();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int process_id() const { return child_ ? child_->id() : 0; }
  [[nodiscard]] const std::string& authority() const { return authority_.certificate(); }

  [[nodiscard]] transport::SessionOptions host_session() const {
    transport::SessionOptions session = client_session();
    session.host = host_address;
    session.port = host_port_;
    session.client_id = session_name_;
    return session;
  }

  [[nodiscard]] transport::SessionOptions client_session() const {
    transport::SessionOptions session;
    session.host = local_address(options_.listen);
    session.port = port_;
    session.tls = transport::TlsFiles{paths_.own_authority(), paths_.certificate("host"),
                                      paths_.key("host")};
    session.first_retry = milliseconds(100);
    session.last_retry = milliseconds(5'000);
    return session;
  }

  Status trust_devices(std::string_view authority_pem, std::string_view crl_pem) {
    OUTCROP_TRY(change, devices_.add(authority_pem, crl_pem));
    if (change == DeviceAuthorities::Change::none) return {};
    OUTCROP_CHECK(write_clients());
    if (!child_) return {};  // it reads them when it comes back
    if (change == DeviceAuthorities::Change::list) {
      child_->reload();
      return {};
    }
    return start_again("to let in boards of another device authority");
  }

  Status distrust_devices(const trust::KeyId& authority) {
    OUTCROP_TRY(known, devices_.remove(authority));
    if (!known) return {};
    OUTCROP_CHECK(write_clients());
    if (!child_) return {};  // it reads them when it comes back
    return start_again("to let in boards of a device authority no more");
  }

  void restart() {
    if (!child_) return;
    child_->kill();
    news_.report("starting the broker again", start_again("as it did not answer"));
  }

  void disconnect(const std::string& device) {
    if (!messages::is_name(device)) {
      spdlog::error("cannot disconnect '{}': no device's name", device);
      return;
    }
    takeovers_.erase(device);
    auto begun =
        Takeover::begin(executor_, authority_, paths_.takeover() / device, client_session(), device,
                        [weak = weak_from_this(), device](const Status& status) {
                          const auto self = weak.lock();
                          if (!self) return;
                          if (!status)
                            spdlog::error("disconnecting {}: {}", device, status.error().message());
                          // Not from within its own call.
                          asio::post(self->executor_, [weak, device] {
                            if (const auto later = weak.lock()) later->takeovers_.erase(device);
                          });
                        });
    if (begun) {
      takeovers_.emplace(device, std::move(*begun));
    } else {
      spdlog::error("disconnecting {}: {}", device, begun.error().message());
    }
  }

 private:
  // clients.pem and revoked.pem: ours, and those of every device authority.
  Status write_clients() {
    OUTCROP_TRY(all, devices_.all());
    OUTCROP_TRY(own_list, authority_.revocation_list());
    OUTCROP_CHECK(write_file_durably(paths_.revoked(), own_list + all.lists));
    return write_file_durably(paths_.clients(), authority_.certificate() + all.authorities);
  }

  Status launch() {
    // It opens the listener of this host last (write_configuration), and all others before.
    auto child = Mosquitto::start(options_.program, paths_.configuration(), paths_.log(),
                                  std::string(host_address), host_port_);
    if (!child) return fail(std::move(child).error());
    OUTCROP_TRY(end, child->end_descriptor());
    child_ = std::make_unique<Mosquitto>(std::move(*child));
    if (options_.group) news_.report("the broker's control group", options_.group->take(child_->id()));
    started_ = std::chrono::steady_clock::now();
    end_.assign(end.release());
    end_.async_wait(
        asio::posix::stream_descriptor::wait_read,
        [weak = weak_from_this(), id = child_->id()](const boost::system::error_code& cancelled) {
          const auto self = weak.lock();
          if (!cancelled && self && self->process_id() == id) self->on_end();
        });
    return {};
  }

  Status start_again(const std::string& why) {
    if (options_.on_restart) options_.on_restart(why);
    end_child();
    Status again = launch();
    if (!again) restart_later();
    return again;
  }

  void end_child() {
    boost::system::error_code ignored;
    end_.close(ignored);
    child_.reset();
  }

  void on_end() {
    end_child();
    if (std::chrono::steady_clock::now() - started_ > good_run) {
      restart_delay_ = first_restart;
      news_.report(itself, {});
    }
    news_.report(itself, fail(ErrorCode::crashed, why_it_ended() + "; it is started again (its log: " +
                                                      paths_.log().string() + ")"));
    restart_later();
  }

  std::string why_it_ended() {
    const std::uint64_t killed = options_.group ? options_.group->killed() : 0;
    const bool for_memory = killed > std::exchange(killed_, killed);
    return for_memory ? "was ended by the kernel, as it took more memory than it may" : "ended by itself";
  }

  void restart_later() {
    restart_timer_.expires_after(restart_delay_);
    restart_delay_ = std::min(restart_delay_ * 2, last_restart);
    restart_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
      const auto self = weak.lock();
      if (stopped || !self || self->child_) return;
      const Status status = self->launch();
      if (status) {
        spdlog::debug("the broker runs again");
      } else {
        self->restart_later();
      }
      self->news_.report("starting the broker again", status);
    });
  }

  // One older log is kept.
  void watch_log() {
    std::error_code error;
    const auto size = fs::file_size(paths_.log(), error);
    if (!error) read_log(size);
    if (!error && size > largest_log) {
      log_read_ = 0;
      fs::rename(paths_.log(), paths_.at("mosquitto.log.1"), error);
      if (child_) child_->reload();  // it opens its log again, too
    }
    log_timer_.expires_after(options_.log_check);
    log_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
      const auto self = weak.lock();
      if (!stopped && self) self->watch_log();
    });
  }

  // From where boards came before: what else an earlier run wrote was told then.
  void learn_places(std::uintmax_t size) {
    (void)knocks_.read(next_lines(size));
    log_read_ = size;
  }

  // What it has said since.
  void read_log(std::uintmax_t size) {
    const std::string lines = next_lines(size);
    for (const Twins::Twin& twin : twins_.read(lines)) {
      if (options_.on_twins) options_.on_twins(twin.client, join(twin.addresses, " and "));
    }
    for (const Knocks::Knock& knock : knocks_.read(lines)) {
      if (options_.on_knocks) options_.on_knocks(knock.address, knock.count, knock.names);
    }
  }

  // Of very much only the end; the last line may not be whole yet, and is left.
  std::string next_lines(std::uintmax_t size) {
    if (size < log_read_) log_read_ = 0;  // another file
    if (size - log_read_ > most_read) log_read_ = size - most_read;
    std::string text(size - log_read_, '\0');
    std::ifstream file(paths_.log(), std::ios::binary);
    file.seekg(static_cast<std::streamoff>(log_read_));
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
    text.resize(text.rfind('\n') + 1);
    log_read_ += text.size();
    return text;
  }

  asio::any_io_executor executor_;
  BrokerOptions options_;
  BrokerPaths paths_;
  pki::Authority authority_;
  DeviceAuthorities devices_;
  std::uint16_t port_;
  std::uint16_t host_port_;
  std::string session_name_;
  Knocks knocks_;
  std::unique_ptr<Mosquitto> child_;  // none while it is down
  std::chrono::steady_clock::time_point started_;
  milliseconds restart_delay_ = first_restart;
  std::uint64_t killed_ = 0;  // of its group, so far
  News news_;
  asio::posix::stream_descriptor end_;
  asio::steady_timer restart_timer_;
  asio::steady_timer log_timer_;
  std::uintmax_t log_read_ = 0;  // bytes of the log
  Twins twins_;
  std::map<std::string, std::unique_ptr<Takeover>> takeovers_;
};

Broker::Broker(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Broker::~Broker() = default;

Result<std::unique_ptr<Broker>> Broker::start(asio::any_io_executor executor,
                                              const BrokerOptions& options) {
  const BrokerPaths paths(options.folder);
  OUTCROP_CHECK(make_folder(paths.folder()));
  OUTCROP_CHECK(make_folder(paths.devices()));
  std::error_code ignored;
  fs::remove_all(paths.takeover(), ignored);
  OUTCROP_TRY(port, wait_for_port(options.listen, options.port));
  OUTCROP_TRY(authority, pki::Authority::open_or_make(paths.authority(), "Outcrop broker"));
  OUTCROP_CHECK(make_identity(authority, paths, "server",
                              {"outcropd", server_names(options), pki::Authority::Usage::server}));
  OUTCROP_CHECK(make_identity(authority, paths, "host",
                              {std::string(host_name), {}, pki::Authority::Usage::client}));
  OUTCROP_TRY(host_port, check_port_free(host_address, 0));
  OUTCROP_CHECK(write_configuration(paths, options.listen, port, host_port));
  auto impl =
      std::make_shared<Impl>(std::move(executor), options, std::move(authority), port, host_port);
  OUTCROP_CHECK(impl->begin());
  return std::unique_ptr<Broker>(new Broker(std::move(impl)));
}

std::uint16_t Broker::port() const {
  return impl_->port();
}
int Broker::process_id() const {
  return impl_->process_id();
}

std::optional<std::chrono::nanoseconds> Broker::worked() const {
  clockid_t clock{};
  timespec time{};
  const int process = impl_->process_id();
  if (process == 0 || ::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return std::nullopt;
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}
transport::SessionOptions Broker::client_session() const {
  return impl_->client_session();
}
transport::SessionOptions Broker::host_session() const {
  return impl_->host_session();
}
const std::string& Broker::authority() const {
  return impl_->authority();
}
Status Broker::trust_devices(std::string_view authority_pem, std::string_view crl_pem) {
  return impl_->trust_devices(authority_pem, crl_pem);
}
Status Broker::distrust_devices(const trust::KeyId& authority) {
  return impl_->distrust_devices(authority);
}
void Broker::restart() {
  impl_->restart();
}
void Broker::disconnect(const std::string& device) {
  impl_->disconnect(device);
}

}  // namespace outcrop::fleet
