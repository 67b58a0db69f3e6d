import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Scanner;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Reads keys, one a line, and prints the partition that Kafka's own Java producer put each on: arguments are host:port and a topic. */
class MakeKeys {
    public static void main(String[] told) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", told[0]);
        try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
                var keys = new Scanner(System.in, StandardCharsets.UTF_8)) {
            int partitions = producer.partitionsFor(told[1]).size();
            while (keys.hasNextLine()) {
                byte[] key = keys.nextLine().getBytes(StandardCharsets.UTF_8);
                int landed = producer.send(new ProducerRecord<>(told[1], key, new byte[0])).get().partition();
                if (landed != BuiltInPartitioner.partitionForKey(key, partitions)) throw new IllegalStateException("two answers");
                System.out.println(landed);
            }
        }
    }
}
