#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "protocol/blob/chunk_table.hpp"
#include "protocol/transport/session.hpp"

namespace outcrop {

// The two ends of a transfer over a real broker, each for a process of its own.

// Serves the blobs of `store` for ever; `ready` is called after each subscription.
[[noreturn]] void serve_blobs(const transport::SessionOptions& session,
                              const std::filesystem::path& store,
                              const std::function<void()>& ready);

struct PullTask {
  transport::SessionOptions session;
  std::string device;
  blob::ChunkTable table;
  std::filesystem::path partial;
  ByteCount budget;
  // Called after each chunk; may take its time, or kill the process.
  std::function<void(std::uint64_t chunks_here)> progress;
};

struct PullFigures {
  std::string error;                          // empty where it was staged
  std::chrono::duration<double> received{0};  // from the first request to the last chunk's write
  std::chrono::duration<double> staged{0};    // ... to the disk
  std::uint64_t frames = 0;                   // that arrived, of whatever kind
  std::uint64_t bytes = 0;                    // of their payloads
};

[[nodiscard]] PullFigures pull_blob(const PullTask& task);

}  // namespace outcrop
