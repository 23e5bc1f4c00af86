#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/fleet/connection.hpp"
#include "protocol/base/bytes.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/envelope.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::bench {

// Processor time that processes have taken since they began, and memory at most.
struct Use {
  std::chrono::duration<double> outcropd{0};
  std::chrono::duration<double> broker{0};
  ByteCount outcropd_memory, broker_memory;
};

// outcropd itself with its broker, in a folder of its own: keys, two releases of which boards serve the first, and boards
// that are enrolled.
class Host {
 public:
  // `program`: outcropd.
  [[nodiscard]] static Result<std::unique_ptr<Host>> make(const std::filesystem::path& program, std::size_t boards);

  // Waits until it serves.
  [[nodiscard]] Status start();
  void kill();  // SIGKILL; its broker dies with it
  [[nodiscard]] Use use() const;

  [[nodiscard]] Result<nlohmann::json> call(const std::string& method, const std::string& target,
                                            const nlohmann::json& body = nullptr) const;
  // Uploads a stage's release; once it serves.
  [[nodiscard]] Result<trust::Sha256Digest> publish(std::uint64_t stage);

  [[nodiscard]] std::vector<Identity> take_identities() { return std::move(identities_); }
  [[nodiscard]] const std::filesystem::path& socket() const { return socket_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::filesystem::path broker_authority() const;
  [[nodiscard]] const trust::Signers& director() const { return director_; }
  [[nodiscard]] std::string log() const;

 private:
  Host() = default;
  [[nodiscard]] Status make_keys();
  [[nodiscard]] Status enrol(std::size_t boards);
  [[nodiscard]] Result<bool> serves() const;

  TemporaryFolder folder_;
  std::filesystem::path program_;
  std::filesystem::path socket_ = folder_.path() / "outcropd.sock";
  std::filesystem::path config_ = folder_.path() / "host.toml";
  std::filesystem::path keys_ = folder_.path() / "keys";
  std::filesystem::path state_ = folder_.path() / "state";
  std::uint16_t port_ = 0;
  trust::Signers director_;
  std::vector<Identity> identities_;
  std::unique_ptr<ChildProcess> outcropd_;
  pid_t id_ = 0;
};

}  // namespace outcrop::bench
