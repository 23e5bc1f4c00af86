#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "agent/slots/slots.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "protocol/transport/session.hpp"

namespace outcrop::agent {

struct PullOptions {
  std::size_t window = 8;  // chunks asked for and not yet here; at most 64
  // Nothing came for so long: ask again, for one chunk, doubled up to the longest. A slow link
  // makes it longer by itself.
  std::chrono::milliseconds silence{1'000};
  std::chrono::milliseconds longest_silence{30'000};
  // Wrong chunks (by their digest) in one blob before the pull is given up.
  std::size_t most_wrong_chunks = 32;
  ByteCount most_a_second{};  // in the mean: a window's worth comes at once; 0: as fast as it comes
  std::function<void(ByteCount)> received{};  // told of every frame
};

// Fetches blobs from depots over a session, one at a time (SCHEMA.md, "Transfer"). Waits through
// lost connections as long as it takes: only a stop, the byte budget, the disk, wrong data or a
// depot that says "not here" to every request for long (10 tries) end a pull. The partial file
// stays, whatever happens. Lives on the session's executor; `session` must outlive it.
class Puller {
 public:
  Puller(boost::asio::any_io_executor executor, transport::Session& session, std::string device,
         PullOptions options = {});
  ~Puller();

  // To be called by the owner of the session's handlers.
  void on_connected();  // after `rx` was subscribed again
  void on_lost();
  void on_frame(std::string_view payload);  // a message on `rx`

  [[nodiscard]] bool connected() const;

  // Called after each chunk. A failure ends the pull, which returns it.
  using Progress = std::function<Status(ByteCount done, ByteCount total)>;

  // Every byte of a frame counts against `left`: also those of chunks that came twice and of frames
  // that nobody asked for. A frame has up to 80 bytes besides its chunk.
  struct Budget {
    ByteCount left;
  };

  // A blob with its table: what lies in `partial` is hashed again first, so that a killed agent
  // asks only for the rest. `table` and `budget` must live until it ends. Errors: refused (byte
  // budget, naming it), no_space, untrusted (wrong chunks), not_found (no depot has it),
  // interrupted (the puller is gone), io, already_exists (another pull is at work). Throws Cancelled.
  [[nodiscard]] boost::asio::awaitable<Result<StagedBlob>> pull(const blob::ChunkTable& table,
                                                                std::filesystem::path partial,
                                                                Budget& budget, Progress progress,
                                                                std::stop_token stop = {});
  // A small blob without a table (manifest, chunk table): checked as a whole, started over where it
  // was cut off. Throws Cancelled.
  [[nodiscard]] boost::asio::awaitable<Result<StagedBlob>> pull_small(trust::Sha256Digest digest,
                                                                      ByteCount size,
                                                                      std::filesystem::path partial,
                                                                      Budget& budget,
                                                                      std::stop_token stop = {});

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
