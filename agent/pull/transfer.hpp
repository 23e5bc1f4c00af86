#pragma once

#include <chrono>
#include <optional>

#include "agent/pull/chunk_schedule.hpp"
#include "agent/pull/partial_file.hpp"
#include "agent/pull/patience.hpp"
#include "agent/pull/puller.hpp"
#include "protocol/blob/chunk_frame.hpp"

namespace outcrop::agent {

// One blob on its way into one file: what each frame means for it. Knows neither sessions nor time;
// the Puller asks for what it wants next.
class Transfer {
 public:
  struct Blob {
    trust::Sha256Digest digest;
    ByteCount size;
    const blob::ChunkTable* table;  // none: chunks are taken as they come
  };

  Transfer(std::uint32_t id, Blob blob, PartialFile& file, Puller::Budget& budget,
           const PullOptions& options, Puller::Progress progress);

  // A chunk that lay in the file already.
  void found(std::uint32_t index);
  // refused where what is missing exceeds the byte budget.
  [[nodiscard]] Status affordable() const;

  enum class Heard {
    nothing,  // not for this transfer
    frame,
    wait  // the depot cannot serve us now: ask again after a silence
  };
  [[nodiscard]] Heard hear(std::string_view payload);

  // The next request, if there is anything to ask for.
  [[nodiscard]] std::optional<blob::ChunkRequest> request();
  void start_over() { schedule_.start_over(); }

  // How it ended, if it did.
  [[nodiscard]] const std::optional<Status>& ended() const { return ended_; }
  void end(Status status) {
    if (!ended_) ended_ = std::move(status);
  }
  [[nodiscard]] const std::string& depot() const { return depot_; }
  void forget_depot() { depot_.clear(); }
  [[nodiscard]] ByteCount size_of(std::size_t index) const;

 private:
  void take(std::uint32_t index, BytesView chunk);
  void strange(std::uint32_t index);
  [[nodiscard]] bool is_right(std::uint32_t index, BytesView chunk) const;

  std::uint32_t id_;
  Blob blob_;
  PartialFile& file_;
  Puller::Budget& budget_;
  const PullOptions& options_;
  Puller::Progress progress_;
  ChunkSchedule schedule_;
  ByteCount done_;
  std::size_t wrong_ = 0;
  int absent_ = 0;  // answers in a row that the blob is not there
  std::string depot_;
  std::optional<Status> ended_;
};

}  // namespace outcrop::agent
