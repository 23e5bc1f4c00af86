# Which headers are precompiled: what a preset that builds large units includes everywhere. A fine-grained build
# (preset dev) has none but LibTorch's, so that an include which is missing shows there.
# OUTCROP_HEADERS is what a folder's targets reuse; folders that need others, or none, set it.
set(OUTCROP_HEADERS)
set(OUTCROP_ASIO_HEADERS)
set(OUTCROP_TEST_HEADERS)
if(CMAKE_UNITY_BUILD)
  set(standard <algorithm> <chrono> <filesystem> <fstream> <functional> <map> <memory> <optional> <set> <span>
    <sstream> <string> <string_view> <thread> <vector>)
  set(plain ${standard} <nlohmann/json.hpp> <tl/expected.hpp>)
  # <utility> first: GCC 12 needs it before Asio's awaitable.
  set(asio ${plain} <utility> <boost/asio/awaitable.hpp> <boost/asio/any_io_executor.hpp>
    <boost/asio/co_spawn.hpp> <boost/asio/detached.hpp> <boost/asio/io_context.hpp> <boost/asio/post.hpp>
    <boost/asio/steady_timer.hpp> <boost/asio/use_awaitable.hpp> <spdlog/spdlog.h>)
  add_library(outcrop_expected INTERFACE)
  target_include_directories(outcrop_expected SYSTEM INTERFACE ${OUTCROP_EXPECTED_INCLUDE})
  set(links outcrop_expected nlohmann_json::nlohmann_json)
  outcrop_precompiled(outcrop_headers HEADERS ${plain} LINKS ${links})
  outcrop_precompiled(outcrop_asio_headers HEADERS ${asio} LINKS ${links} Boost::headers spdlog::spdlog)
  set(OUTCROP_HEADERS outcrop_headers)
  set(OUTCROP_ASIO_HEADERS outcrop_asio_headers)
  if(OUTCROP_TESTS)
    outcrop_precompiled(outcrop_test_headers HEADERS ${asio} <gmock/gmock.h>
      LINKS ${links} Boost::headers spdlog::spdlog GTest::gmock GTest::gtest OPTIONS ${OUTCROP_TEST_CODE})
    set(OUTCROP_TEST_HEADERS outcrop_test_headers)
  endif()
endif()
