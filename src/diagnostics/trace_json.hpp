// A trace as Chrome trace JSON ("Trace Event Format"), which Perfetto and chrome://tracing open.
#pragma once

#include <cstdint>

#include "diagnostics/trace_story.hpp"
#include "platform/file.hpp"

namespace turnkey::diagnostics {

struct trace_summary {
  std::int64_t began = 0;      // the time that is 0 in the file
  std::uint64_t recorded = 0;  // events that are kept
  std::uint64_t lost = 0;      // overwritten
};

// Allocates nothing.
void write_chrome_json(platform::output_file& file, const trace_story& story, const trace_summary& summary) noexcept;

}  // namespace turnkey::diagnostics
