-- For wrk: post one file over and over, and print the result as one line that a program can read.
-- Arguments after `--`: file, content type, and where every answer is to be checked, the right label and the wrong ones.
-- An answer is right when it names the right label before any other.

local threads, labels = {}, nil
wrong = 0 -- global, for `done` to read: each thread has a Lua state of its own

function setup(thread)
   table.insert(threads, thread)
end

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   wrk.method = "POST"
   wrk.body = file:read("*a")
   wrk.headers["Content-Type"] = arguments[2]
   file:close()
   if arguments[3] then
      labels = {}
      for number = 3, #arguments do labels[arguments[number]] = number == 3 end
      response = check -- set only where it is wanted: reading every answer takes time of wrk's
   end
end

function check(status, headers, body)
   for word in body:gmatch('"([^"]*)"') do
      if labels[word] ~= nil then
         if not labels[word] then wrong = wrong + 1 end
         return
      end
   end
   wrong = wrong + 1
end

function done(summary, latency)
   local errors, mistakes = summary.errors, 0
   for _, thread in ipairs(threads) do mistakes = mistakes + thread:get("wrong") end
   io.write(string.format(
      "RESULT requests=%d duration_us=%d p50_us=%d p99_us=%d status=%d connect=%d read=%d write=%d timeout=%d "
         .. "wrong=%d\n",
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.status, errors.connect, errors.read, errors.write, errors.timeout, mistakes
   ))
end
