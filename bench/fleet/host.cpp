#include "bench/fleet/host.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "platform/http/client.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/trust/roles.hpp"
#include "tests/support/small_stage.hpp"
#include "trainer_host/fleet/broker/configuration.hpp"
#include "trainer_host/fleet/broker/mosquitto.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/state_folder.hpp"
#include "trainer_host/pki/authority.hpp"
#include "trainer_host/release/create.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::bench {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::chrono::seconds start_patience{120};

std::string numbered(std::size_t number) {
  std::string digits = std::to_string(number);
  return "board-" + std::string(6 - std::min<std::size_t>(6, digits.size()), '0') + digits;
}

// User and system time of a process; 0 of none.
std::chrono::duration<double> processor_time(pid_t id) {
  std::ifstream file("/proc/" + std::to_string(id) + "/stat");
  std::string line;
  std::getline(file, line);
  std::istringstream rest(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  std::string skipped;
  for (int i = 0; i < 11; ++i) rest >> skipped;
  double user = 0, system = 0;
  rest >> user >> system;
  return std::chrono::duration<double>((user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK)));
}

ByteCount most_memory(pid_t id) {
  std::ifstream file("/proc/" + std::to_string(id) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return ByteCount(std::stoull(line.substr(6)) * 1024);
  }
  return {};
}

pid_t child_of(pid_t id) {
  const std::string name = std::to_string(id);
  std::ifstream children("/proc/" + name + "/task/" + name + "/children");
  pid_t child = 0;
  children >> child;
  return child;
}

}  // namespace

Result<std::unique_ptr<Host>> Host::make(const fs::path& program, std::size_t boards) {
  std::unique_ptr<Host> host(new Host);
  host->program_ = program;
  OUTCROP_CHECK(host->make_keys());
  OUTCROP_TRY(port, fleet::check_port_free("127.0.0.1", 0));
  host->port_ = port;
  OUTCROP_CHECK(write_file_durably(
      host->config_, "state = \"state\"\nsocket = \"outcropd.sock\"\nlog = \"warning\"\n[trust]\nroot = \"keys/metadata/1.root.json\"\n"
                     "timestamp_key = \"keys/online/timestamp.key\"\nsnapshot_key = \"keys/online/snapshot.key\"\n"
                     "believe_clock = true\n[broker]\nport = " + std::to_string(port) + "\n[rollout]\nsoak_seconds = 0\n"));
  OUTCROP_CHECK(host->enrol(boards));
  return host;
}

Status Host::make_keys() {
  release::KeyStoreOptions options;
  options.models = {"curvefault"};
  OUTCROP_CHECK(release::init_key_store(keys_, options, SystemClock().now()));
  OUTCROP_TRY(root, release::pin_root_file(keys_ / "metadata/1.root.json"));
  director_ = root.signers(trust::director_role);
  return {};
}

// By the registry's own functions, in one transaction, before outcropd starts.
Status Host::enrol(std::size_t boards) {
  const fleet::StateFolder state{state_};
  std::error_code error;
  fs::create_directories(state_, error);
  OUTCROP_TRY(authority, pki::Authority::open_or_make(folder_.path() / "authority", "Outcrop benchmark"));
  OUTCROP_TRY(list, authority.revocation_list());
  OUTCROP_TRY(registry, fleet::open_sqlite_registry(state.registry()));
  return registry->transaction([&]() -> Status {
    OUTCROP_CHECK(registry->save(fleet::DeviceAuthority{authority.certificate(), list}));
    for (std::size_t i = 0; i < boards; ++i) {
      const std::string name = numbered(i);
      OUTCROP_TRY(key, trust::PrivateKey::generate());
      OUTCROP_TRY(certificate, authority.issue({name, {}, pki::Authority::Usage::client}, key.public_key()));
      fleet::Device device;
      device.name = name;
      device.model = "curvefault";
      device.device_class = "raspberry-pi-4";
      device.key = key.public_key();
      device.certificate = certificate;
      device.enrolled = SystemClock().now();
      device.signs = true;
      OUTCROP_CHECK(registry->save(device));
      identities_.push_back({name, std::move(key), certificate});
    }
    return {};
  });
}

Status Host::start() {
  const std::string log = folder_.path() / "log";
  std::vector<std::string> words{program_, "--config", config_};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  outcropd_ = std::make_unique<ChildProcess>([&](int talk) {
    say_line(talk, std::to_string(::getpid()));
    const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::execv(arguments[0], arguments.data());
    return 127;
  });
  id_ = static_cast<pid_t>(std::stol(outcropd_->hear().value_or("0")));
  const auto end = std::chrono::steady_clock::now() + start_patience;
  while (std::chrono::steady_clock::now() < end) {
    const auto answer = call("GET", "/v1/host");
    if (answer && (*answer)["broker"]["running"] == true) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return fail(ErrorCode::timeout, "outcropd does not serve; its log: " + this->log());
}

void Host::kill() {
  outcropd_.reset();
}

std::string Host::log() const {
  return read_text_file(folder_.path() / "log").value_or("");
}

fs::path Host::broker_authority() const {
  return fleet::BrokerPaths(fleet::StateFolder{state_}.broker()).own_authority();
}

Use Host::use() const {
  const pid_t broker = child_of(id_);
  return {processor_time(id_), processor_time(broker), most_memory(id_), most_memory(broker)};
}

Result<json> Host::call(const std::string& method, const std::string& target, const json& body) const {
  OUTCROP_TRY(answer, http::call_ok(socket_, {method, target, "application/json", body.is_null() ? "" : json_text(body)}));
  return json::parse(answer.body, nullptr, false);
}

Result<trust::Sha256Digest> Host::publish(std::uint64_t stage) {
  const std::string number = std::to_string(stage);
  const fs::path made = folder_.path() / ("stage-" + number);
  const fs::path out = folder_.path() / ("release-" + number);
  OUTCROP_CHECK(small_stage::make(made, stage, "stage " + number));
  const release::HostProver prover = [](const release::HostProofRequest&) -> Result<release::HostProof> {
    return small_stage::prover_answer();
  };
  OUTCROP_TRY(created, release::create_release({made, keys_, out, release::Policy(), false}, prover, SystemClock()));
  for (const auto& blob : fs::directory_iterator(out / "blobs")) {
    OUTCROP_TRY(bytes, read_text_file(blob.path()));
    const auto uploaded = http::call_ok(
        socket_, {"PUT", "/v1/blobs/" + blob.path().filename().string() + "?offset=0&size=" + std::to_string(bytes.size()),
                  "application/octet-stream", bytes});
    if (!uploaded) return fail(uploaded.error());
  }
  const auto read = [&](const std::string& name) { return read_text_file(out / "metadata" / name).value_or(""); };
  const auto published = call("POST", "/v1/releases",
                              {{"roots", {read("1.root.json")}},
                               {"targets", read("targets.json")},
                               {"revoked", read("revoked.json")},
                               {"stage", read("stage-curvefault.json")},
                               {"manifest", created.manifest_digest.hex()}});
  if (!published) return fail(published.error());
  return created.manifest_digest;
}

}  // namespace outcrop::bench
