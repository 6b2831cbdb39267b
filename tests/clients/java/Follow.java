import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Iterator;

/** The HTTP client of Java's own library, and lines as it splits them. */
public class Follow {
    private final HttpClient client = HttpClient.newHttpClient();
    private final URI uri;
    private final boolean stays;
    private String position = "";

    Follow(String uri, boolean stays) {
        this.uri = URI.create(uri);
        this.stays = stays;
    }

    public static void main(String[] arguments) throws InterruptedException {
        new Follow(arguments[0], arguments.length > 1).run();
    }

    private void run() throws InterruptedException {
        while (true) {
            try {
                read();
            } catch (java.io.IOException | java.io.UncheckedIOException cut) {
                // Cut off, or nobody listens at the moment.
            }
            Thread.sleep(500);
        }
    }

    private void read() throws java.io.IOException, InterruptedException {
        var request = HttpRequest.newBuilder(uri).header("Accept", "text/event-stream");
        if (!position.isEmpty()) request.header("Last-Event-ID", position);
        var response = client.send(request.build(), BodyHandlers.ofLines());
        if (response.statusCode() == 204) stop("gave up");
        if (response.statusCode() != 200) return;
        String id = null;
        StringBuilder data = new StringBuilder();
        for (Iterator<String> lines = response.body().iterator(); lines.hasNext();) {
            String line = lines.next();
            if (line.startsWith("id:")) id = line.substring(3).strip();
            if (line.startsWith("data:")) data.append(data.isEmpty() ? "" : "\n").append(line.substring(5).stripLeading());
            if (line.isEmpty() && !data.isEmpty()) {
                // A frame without a position is about the connection.
                if (id != null) received(id, data.toString());
                data.setLength(0);
                id = null;
            }
        }
    }

    private void received(String id, String data) {
        position = id;
        System.out.println("{\"id\":" + quoted(id) + ",\"data\":" + quoted(data) + "}");
        if (!stays && data.startsWith("{\"type\":\"run.completed\"")) stop("closed");
    }

    private static void stop(String why) {
        System.out.println("{\"stopped\":" + quoted(why) + "}");
        System.out.flush();
        System.exit(0);
    }

    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ' || c > '~') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }
}
