#include "agent/pull/transfer.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace outcrop::agent {
namespace {

using blob::ChunkAnswer;

constexpr int most_absent = 10;

std::string text(ByteCount bytes) {
  return std::to_string(bytes.value());
}

}  // namespace

Transfer::Transfer(std::uint32_t id, Blob blob, PartialFile& file, Puller::Budget& budget,
                   const PullOptions& options, Puller::Progress progress)
    : id_(id),
      blob_(std::move(blob)),
      file_(file),
      budget_(budget),
      options_(options),
      progress_(std::move(progress)),
      schedule_(blob::chunk_count(blob_.size), std::min(options.window, blob::most_indexes)) {
  if (schedule_.complete()) ended_ = Status{};
}

ByteCount Transfer::size_of(std::size_t index) const {
  const std::uint64_t start = index * blob::chunk_size.value();
  return ByteCount(std::min(blob::chunk_size.value(), blob_.size.value() - start));
}

void Transfer::found(std::uint32_t index) {
  schedule_.arrived(index);
  done_ = ByteCount(done_.value() + size_of(index).value());
  if (schedule_.complete()) end({});
}

Status Transfer::affordable() const {
  const ByteCount missing(blob_.size.value() - done_.value());
  if (missing <= budget_.left) return {};
  return fail(ErrorCode::refused, "blob " + blob_.digest.hex() + " needs " + text(missing) +
                                      " bytes more, but the deployment's byte budget leaves " +
                                      text(budget_.left));
}

Transfer::Heard Transfer::hear(std::string_view payload) {
  if (ended_) return Heard::nothing;
  if (payload.size() > budget_.left.value()) {
    budget_.left = {};
    end(fail(ErrorCode::refused, "the deployment's byte budget is used up with " + text(done_) +
                                     " of " + text(blob_.size) + " bytes of blob " +
                                     blob_.digest.hex() + " here"));
    return Heard::frame;
  }
  budget_.left = ByteCount(budget_.left.value() - payload.size());
  const auto frame = blob::decode_chunk_frame(payload);
  if (!frame) spdlog::debug("not a chunk frame: {}", frame.error().message());
  if (!frame || frame->transfer != id_) return Heard::nothing;
  switch (frame->answer) {
    case ChunkAnswer::data:
      if (depot_.empty()) depot_ = frame->depot;
      take(frame->index, frame->chunk);
      return Heard::frame;
    case ChunkAnswer::no_such_chunk:
      strange(frame->index);
      return Heard::frame;
    case ChunkAnswer::no_such_blob:
      if (++absent_ >= most_absent) {
        end(fail(ErrorCode::not_found, "no depot has blob " + blob_.digest.hex() + ": asked " +
                                           std::to_string(absent_) + " times"));
      }
      return Heard::wait;
    case ChunkAnswer::later:
      return Heard::wait;
  }
  return Heard::nothing;
}

void Transfer::take(std::uint32_t index, BytesView chunk) {
  if (index >= schedule_.chunks() || (!schedule_.has(index) && !is_right(index, chunk))) {
    return strange(index);
  }
  if (schedule_.has(index)) return;  // twice: the budget has counted it
  absent_ = 0;
  if (auto status = file_.write(ByteCount(index * blob::chunk_size.value()), chunk); !status) {
    return end(std::move(status));
  }
  found(index);
  if (!progress_) return;
  if (auto goes_on = progress_(done_, blob_.size); !goes_on) end(std::move(goes_on));
}

bool Transfer::is_right(std::uint32_t index, BytesView chunk) const {
  if (blob_.table != nullptr) return blob_.table->matches(index, chunk);
  return chunk.size() == size_of(index).value();
}

void Transfer::strange(std::uint32_t index) {
  schedule_.came_wrong(index);
  if (++wrong_ <= options_.most_wrong_chunks) return;
  end(fail(ErrorCode::untrusted, "blob " + blob_.digest.hex() + ": " + std::to_string(wrong_) +
                                     " chunks came wrong, the last of them chunk " +
                                     std::to_string(index) + " from depot " +
                                     (depot_.empty() ? "?" : depot_)));
}

std::optional<blob::ChunkRequest> Transfer::request() {
  std::vector<std::uint32_t> indexes = schedule_.ask();
  if (indexes.empty()) return std::nullopt;
  return blob::ChunkRequest{id_, blob_.digest, std::move(indexes)};
}

}  // namespace outcrop::agent
